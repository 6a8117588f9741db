//! Answers of the launcher that somebody waits for, without I/O.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use sandbox::cgroup::Events;
use sandbox::launch::Answer;
use sandbox::plan::ImageKey;
use tokio::sync::oneshot;

use super::{Launched, LauncherError};

/// An answer as it came.
pub(super) struct Incoming {
    pub(super) answer: Answer,
    /// Fewer than were sent where this process is at its open-file limit.
    pub(super) fds: Vec<OwnedFd>,
}

type LaunchReply = oneshot::Sender<Result<Launched, LauncherError>>;

type Answered<T> = oneshot::Receiver<Result<T, LauncherError>>;

/// Who waits for what.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    ended: bool,
    next_id: u64,
    launches: HashMap<u64, LaunchReply>,
    gone: HashMap<u64, Mourner>,
    images: HashMap<ImageKey, Vec<oneshot::Sender<Result<(), LauncherError>>>>,
}

/// Who is told that a worker is gone.
#[derive(Debug)]
enum Mourner {
    Worker(oneshot::Sender<Option<Events>>),
    /// Its launch came to nothing on this side; the caller learns so once nothing is left.
    Launch(LaunchReply, LauncherError),
}

impl Waiting {
    pub(super) fn launch(&mut self) -> (u64, Answered<Launched>) {
        let (reply, answer) = oneshot::channel();
        self.next_id += 1;
        self.launches.insert(self.next_id, reply);
        (self.next_id, answer)
    }

    pub(super) fn image(&mut self, key: ImageKey) -> Answered<()> {
        let (reply, answer) = oneshot::channel();
        self.images.entry(key).or_default().push(reply);
        answer
    }

    /// Whether no answer will ever come.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Nothing more will come: dropped senders wake their receivers.
    pub(super) fn end(&mut self) {
        *self = Waiting {
            ended: true,
            ..Waiting::default()
        };
    }

    /// Hands an answer to whom it concerns; the result is a worker that nobody can have.
    pub(super) fn dispatch(&mut self, incoming: Incoming) -> Option<u64> {
        match incoming.answer {
            Answer::Started { .. } | Answer::Refused(_) => {}
            Answer::Image(key) => self.image_done(key, &Ok(())),
            Answer::ImageFailed(key, failure) => self.image_done(key, &Err(failure.into())),
            Answer::LaunchFailed(id, failure) => {
                if let Some(reply) = self.launches.remove(&id) {
                    reply.send(Err(failure.into())).ok();
                }
            }
            Answer::Launched { id, group, stages } => {
                let Some(reply) = self.launches.remove(&id) else {
                    return Some(id);
                };
                let groups = group.as_ref().map_or(0, |group| group.directories.count());
                let whole = incoming.fds.len() == 2 + groups;
                let mut fds = incoming.fds.into_iter();
                let (Some(init), Some(report), true) = (fds.next(), fds.next(), whole) else {
                    let mourner = Mourner::Launch(reply, LauncherError::FdsMissing);
                    self.gone.insert(id, mourner);
                    return Some(id);
                };
                let (sender, gone) = oneshot::channel();
                let launched = Launched {
                    id,
                    init,
                    report,
                    group,
                    groups: fds.collect(),
                    stages,
                    gone,
                };
                self.gone.insert(id, Mourner::Worker(sender));
                // Its caller gave up meanwhile.
                return reply.send(Ok(launched)).is_err().then_some(id);
            }
            Answer::Gone { id, events } => match self.gone.remove(&id) {
                Some(Mourner::Worker(sender)) => drop(sender.send(events)),
                Some(Mourner::Launch(reply, error)) => drop(reply.send(Err(error))),
                None => {}
            },
        }
        None
    }

    fn image_done(&mut self, key: ImageKey, result: &Result<(), LauncherError>) {
        for reply in self.images.remove(&key).unwrap_or_default() {
            reply.send(result.clone()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox::launch::{Failure, Step};

    #[test]
    fn image_that_failed_is_told_to_all_who_wait() {
        let key = ImageKey {
            digest: ([0; 32], [0; 32]),
            closure: 0,
        };
        let mut waiting = Waiting::default();
        let mut answers = [waiting.image(key), waiting.image(key)];
        let failure = Failure::errno(Step::Image, &std::io::ErrorKind::Other.into());
        let unwanted = waiting.dispatch(Incoming {
            answer: Answer::ImageFailed(key, failure),
            fds: Vec::new(),
        });
        assert_eq!(unwanted, None);
        for answer in &mut answers {
            assert!(answer.try_recv().unwrap().is_err());
        }
    }
}
