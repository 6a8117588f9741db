//! Properties of the wire: nothing panics, nothing allocates beyond the limits, everything
//! round-trips however the stream is cut.

use std::time::Duration;

use ipc_proto::decoder::Decoder;
use ipc_proto::frame::{Frame, encode};
use ipc_proto::limits::{
    CONTROL_BODY, HEADER_LEN, LOG_BODY, MAX_MEASURED, MAX_PRELOAD, PAYLOAD_BODY,
};
use ipc_proto::message::{
    Direction, Downstream, FromWorker, HostOp, LoadFailure, ToWorker, Upstream,
};
use ipc_proto::version::Hello;
use proptest::collection::vec;
use proptest::prelude::*;

/// Owned material that any message can be made of.
#[derive(Debug, Clone)]
struct Parts {
    which: u8,
    call: u64,
    deadline: Option<Duration>,
    numbers: (u32, i32, u64, u8),
    texts: (String, String, String),
    list: Vec<String>,
    bytes: Vec<u8>,
}

prop_compose! {
    fn parts()(
        which: u8,
        call: u64,
        deadline in proptest::option::of((1_u64..).prop_map(Duration::from_micros)),
        numbers: (u32, i32, u64, u8),
        texts in (".{0,40}", ".{0,40}", ".{0,40}"),
        list in vec("[a-z/.]{0,30}", 0..=MAX_PRELOAD),
        bytes in vec(any::<u8>(), 0..2000),
    ) -> Parts {
        Parts { which, call, deadline, numbers, texts, list, bytes }
    }
}

impl Parts {
    fn hello(&self) -> Hello {
        Hello {
            magic: self.numbers.2.to_be_bytes(),
            version: self.numbers.0 as u16,
            features: self.numbers.2,
        }
    }

    fn downstream(&self) -> ToWorker<'_> {
        let (a, b, c) = (&*self.texts.0, &*self.texts.1, &*self.texts.2);
        let (number, status, ..) = self.numbers;
        let payload = &self.bytes[..];
        match self.which % 13 {
            0 => ToWorker::Hello(self.hello()),
            1 => ToWorker::Load {
                plugin: a,
                preload: self.list.iter().map(String::as_str).collect(),
            },
            2 => ToWorker::Create { config: payload },
            3 => ToWorker::Call {
                method: a,
                payload,
                tenant: b,
                user: c,
            },
            4 => ToWorker::Hook {
                name: a,
                payload,
                tenant: b,
                user: c,
            },
            5 => ToWorker::Snapshot,
            6 => ToWorker::Restore {
                schema: number,
                state: payload,
            },
            7 => ToWorker::Health,
            8 => ToWorker::Cancel,
            9 => ToWorker::Shutdown,
            10 => ToWorker::ListenerTaken,
            11 => ToWorker::Symbolise { question: payload },
            _ => ToWorker::HostReply {
                seq: number,
                status,
                payload,
            },
        }
    }

    fn upstream(&self) -> FromWorker<'_> {
        let (number, status, wide, byte) = self.numbers;
        match self.which % 10 {
            0 => FromWorker::Hello(self.hello()),
            1 => FromWorker::Ready {
                measured: &self.bytes[..self.bytes.len().min(MAX_MEASURED)],
            },
            2 => FromWorker::SetupFailed {
                step: number,
                errno: status,
            },
            3 => FromWorker::Loaded {
                abi: number,
                optional_features: wide,
            },
            4 => FromWorker::LoadFailed {
                reason: self.load_failure(),
                plugin_abi: number,
                detail: &self.texts.0,
            },
            5 => FromWorker::Created,
            6 => FromWorker::Reply {
                status,
                verdict: byte,
                schema: number,
                payload: &self.bytes,
            },
            7 => FromWorker::Log {
                level: byte,
                text: &self.texts.0,
            },
            8 => FromWorker::Listener { fd: status },
            _ => FromWorker::HostCall {
                seq: number,
                op: self.host_op(),
            },
        }
    }

    fn load_failure(&self) -> LoadFailure {
        match self.numbers.3 % 7 {
            0 => LoadFailure::Dlopen,
            1 => LoadFailure::NoEntry,
            2 => LoadFailure::Refused,
            3 => LoadFailure::AbiMismatch,
            4 => LoadFailure::Feature,
            5 => LoadFailure::Vtable,
            _ => LoadFailure::Preload,
        }
    }

    fn host_op(&self) -> HostOp<'_> {
        let payload = &self.bytes[..];
        match self.numbers.3 % 4 {
            0 => HostOp::ContextGet { key: &self.texts.0 },
            1 => HostOp::ContextSet {
                key: &self.texts.0,
                value: payload,
            },
            2 => HostOp::Emit {
                name: &self.texts.0,
                payload,
            },
            _ => HostOp::CallService {
                service: &self.texts.0,
                method: &self.texts.1,
                payload,
            },
        }
    }
}

/// Largest body by kind, stated here a second time, as a peer would read it in the specification.
fn limit(kind: u8) -> usize {
    match kind {
        0x04 | 0x05 | 0x07 | 0x0b | 0x87 | 0x89 => PAYLOAD_BODY,
        0x88 => LOG_BODY,
        _ => CONTROL_BODY,
    }
}

/// Feeds `bytes` in pieces of the given lengths and hands every frame to `each`; false once the
/// stream was refused.
fn feed<D: Direction>(
    decoder: &mut Decoder<D>,
    mut bytes: &[u8],
    cuts: &[usize],
    mut each: impl FnMut(&Frame<'_, D>),
) -> bool {
    let mut cuts = cuts.iter().copied().cycle();
    while !bytes.is_empty() {
        let piece = cuts.next().unwrap_or(usize::MAX).clamp(1, bytes.len());
        let taken = decoder.push(&bytes[..piece]);
        assert!(taken > 0, "a drained decoder takes bytes");
        bytes = &bytes[taken..];
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => each(&frame),
                Ok(None) => break,
                Err(_) => return false,
            }
        }
    }
    true
}

fn never_beyond_the_limit<D: Direction>(bytes: &[u8], cuts: &[usize]) {
    let mut decoder = Decoder::<D>::new();
    let mut largest = HEADER_LEN + CONTROL_BODY;
    for &kind in bytes.iter().skip(4) {
        largest = largest.max(HEADER_LEN + limit(kind));
    }
    for piece in bytes.chunks(cuts.first().copied().unwrap_or(1).max(1)) {
        let alive = feed(&mut decoder, piece, cuts, |_| {});
        assert!(decoder.capacity() <= largest);
        if !alive {
            break;
        }
    }
}

/// Headers that are likely to pass the first checks, then noise.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let frame = (
        0_u32..40_000_000,
        prop_oneof![0_u8..0x0d, 0x80_u8..0x8b],
        vec(any::<u8>(), 0..300),
        any::<bool>(),
    )
        .prop_map(|(declared, kind, body, honest)| {
            let len = if honest { body.len() as u32 } else { declared };
            let mut frame = vec![0; HEADER_LEN];
            frame[..4].copy_from_slice(&len.to_le_bytes());
            frame[4] = kind;
            frame.extend_from_slice(&body);
            frame
        });
    vec(frame, 1..5).prop_map(|frames| frames.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic_nor_allocate_beyond_the_limit(
        bytes in vec(any::<u8>(), 0..4000),
        cuts in vec(1_usize..500, 1..5),
    ) {
        never_beyond_the_limit::<Downstream>(&bytes, &cuts);
        never_beyond_the_limit::<Upstream>(&bytes, &cuts);
    }

    #[test]
    fn plausible_frames_never_panic_nor_allocate_beyond_the_limit(
        bytes in plausible(),
        cuts in vec(1_usize..500, 1..5),
    ) {
        never_beyond_the_limit::<Downstream>(&bytes, &cuts);
        never_beyond_the_limit::<Upstream>(&bytes, &cuts);
    }

    #[test]
    fn every_message_to_a_worker_round_trips_however_the_stream_is_cut(
        sent in vec(parts(), 1..8),
        cuts in vec(1_usize..3000, 1..6),
    ) {
        let mut wire = Vec::new();
        for parts in &sent {
            encode(&parts.downstream(), parts.call, parts.deadline, &mut wire).unwrap();
        }
        let mut expected = sent.iter();

        let mut decoder = Decoder::<Downstream>::new();
        let whole = feed(&mut decoder, &wire, &cuts, |frame| {
            let parts = expected.next().expect("no frame that wasn't sent");
            assert_eq!(frame.message, parts.downstream());
            assert_eq!((frame.call, frame.deadline), (parts.call, parts.deadline));
        });

        prop_assert!(whole && expected.next().is_none() && decoder.buffered() == 0);
    }

    #[test]
    fn every_message_from_a_worker_round_trips_however_the_stream_is_cut(
        sent in vec(parts(), 1..8),
        cuts in vec(1_usize..3000, 1..6),
    ) {
        let mut wire = Vec::new();
        for parts in &sent {
            encode(&parts.upstream(), parts.call, parts.deadline, &mut wire).unwrap();
        }
        let mut expected = sent.iter();

        let mut decoder = Decoder::<Upstream>::new();
        let whole = feed(&mut decoder, &wire, &cuts, |frame| {
            let parts = expected.next().expect("no frame that wasn't sent");
            assert_eq!(frame.message, parts.upstream());
            assert_eq!((frame.call, frame.deadline), (parts.call, parts.deadline));
        });

        prop_assert!(whole && expected.next().is_none() && decoder.buffered() == 0);
    }
}
