//! The first words to the supervisor: locked down, and ready to be attested.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;

use ipc_proto::channel::{Receiver, Sender};
use ipc_proto::message::{Downstream, FromWorker, ToWorker};
use ipc_proto::version::Hello;
use sandbox::launch::{Cause, Failure};
use sandbox::steps::worker::Confined;

use super::ServeError;

/// Says who this is and how the lockdown ended. A listener stays open until the supervisor
/// has fetched it from here, and is closed before this process calls itself ready: the
/// attestation finds no second holder of it. Reads and writes are all it takes, so that the
/// filter needs no rule for handing fds over.
///
/// # Errors
/// [`ServeError`]; the process must then end.
pub(crate) fn greet(
    source: impl Read,
    sink: impl Write,
    lockdown: Result<Confined, &Failure>,
) -> Result<(), ServeError> {
    let mut sender = Sender::new(sink);
    sender.queue(&FromWorker::Hello(Hello::OURS), 0, None)?;
    let measured;
    let last = match lockdown {
        Ok(confined) => {
            if let Some(listener) = confined.listener {
                let fd = listener.as_raw_fd();
                send(&mut sender, &FromWorker::Listener { fd })?;
                expect_taken(source)?;
            }
            measured = confined.measured.encode();
            FromWorker::Ready {
                measured: &measured,
            }
        }
        Err(failure) => FromWorker::SetupFailed {
            step: failure.step as u32,
            errno: match failure.cause {
                Cause::Errno(errno) => errno,
                _ => 0,
            },
        },
    };
    send(&mut sender, &last)
}

fn send<W: Write>(sender: &mut Sender<W>, message: &FromWorker<'_>) -> Result<(), ServeError> {
    sender.queue(message, 0, None)?;
    sender.flush().map_err(ServeError::Send)
}

/// The supervisor sends nothing else before `Ready`, so that nothing beyond it is read.
fn expect_taken(source: impl Read) -> Result<(), ServeError> {
    let mut receiver = Receiver::<_, Downstream>::new(source);
    match receiver.recv()?.map(|frame| frame.message) {
        Some(ToWorker::ListenerTaken) => Ok(()),
        Some(_) => Err(ServeError::OutOfSequence {
            message: "another message than that the listener was taken",
            stage: "connecting",
        }),
        None => Err(ServeError::Closed),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use ipc_proto::decoder::Decoder;
    use ipc_proto::frame::encode;
    use ipc_proto::message::Upstream;
    use sandbox::attest::Measured;
    use sandbox::hardening::Taken;
    use sandbox::launch::Step;

    use super::*;

    fn confined(listener: impl Into<OwnedFd>) -> Confined {
        Confined {
            listener: Some(listener.into()),
            measured: MEASURED,
        }
    }

    const MEASURED: Measured = Measured {
        landlock: None,
        mdwe: Taken::Held,
        keyring: Taken::Held,
        cores: Taken::NotOffered,
        undumpable: true,
    };

    fn frame(message: &ToWorker<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(message, 0, None, &mut bytes).unwrap();
        bytes
    }

    /// What was sent, one text for each frame.
    fn sent(bytes: &[u8]) -> Vec<String> {
        let mut decoder = Decoder::<Upstream>::new();
        decoder.spare()[..bytes.len()].copy_from_slice(bytes);
        decoder.filled(bytes.len());
        let mut texts = Vec::new();
        while let Some(frame) = decoder.next_frame().unwrap() {
            texts.push(format!("{:?}", frame.message));
        }
        texts
    }

    /// Notes how much had been sent when the listener's other end saw it closed.
    struct Watched<'a>(&'a mut Vec<u8>, &'a UnixStream, &'a Cell<usize>);

    impl Write for Watched<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.set_nonblocking(true)?;
            let open = (&*self.1).read(&mut [0]).is_err();
            if open {
                self.2.set(self.0.len() + bytes.len());
            }
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn listener_is_closed_when_it_was_taken_and_only_then_follows_ready() {
        let (watch, listener) = UnixStream::pair().unwrap();
        let (mut out, open_until) = (Vec::new(), Cell::new(0));
        let fd = listener.as_raw_fd();
        let answer = frame(&ToWorker::ListenerTaken);

        let sink = Watched(&mut out, &watch, &open_until);
        greet(&*answer, sink, Ok(confined(listener))).unwrap();

        let texts = sent(&out);
        let measured = MEASURED.encode();
        let ready = FromWorker::Ready {
            measured: &measured,
        };
        let listener = FromWorker::Listener { fd };
        assert_eq!(texts[1..], [listener, ready].map(|m| format!("{m:?}")));
        assert_eq!(sent(&out[..open_until.get()]), texts[..2]);
    }

    #[test]
    fn another_answer_or_none_ends_the_worker_before_it_is_ready() {
        for (answer, error) in [
            (frame(&ToWorker::Health), "another message"),
            (Vec::new(), "closed the connection"),
        ] {
            let (_, listener) = UnixStream::pair().unwrap();
            let mut out = Vec::new();

            let greeted = greet(&*answer, &mut out, Ok(confined(listener)));

            let text = greeted.unwrap_err().to_string();
            assert!(text.contains(error), "{text}");
            assert_eq!(sent(&out).len(), 2);
        }
    }

    #[test]
    fn failed_step_is_told() {
        let failure = Failure::errno(Step::Seccomp, &io::Error::from_raw_os_error(16));
        let mut out = Vec::new();

        greet(io::empty(), &mut out, Err(&failure)).unwrap();

        let step = Step::Seccomp as u32;
        assert_eq!(
            sent(&out)[1],
            format!("SetupFailed {{ step: {step}, errno: 16 }}")
        );
    }
}
