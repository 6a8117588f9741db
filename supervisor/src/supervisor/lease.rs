//! What a worker occupies of its supervisor's: a host id, and the image that it runs from.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use sandbox::plan::{Ids, ImageKey};

use super::Shared;

/// Images kept that no worker runs from, so that a reload needn't build its plugin's again.
const IDLE_IMAGES: usize = 64;

/// Taken before a launch, given back by dropping it when nothing is left of the worker.
#[derive(Debug)]
pub(super) struct Lease {
    shared: Weak<Shared>,
    pub(super) ids: Ids,
    image: ImageKey,
}

/// The images that the launcher has: those that launches and workers use, and the latest
/// of the others.
#[derive(Debug, Default)]
pub(super) struct Images {
    used: HashMap<ImageKey, usize>,
    /// The longest unused one first.
    idle: VecDeque<ImageKey>,
}

impl Shared {
    /// Takes an id for a worker, and its image; nothing if every id is in use.
    pub(super) fn lease(self: &Arc<Self>, image: ImageKey) -> Option<Lease> {
        let ids = match self.uids().as_mut() {
            Some(uids) => Ids::Mapped(uids.take()?),
            None => Ids::Own,
        };
        self.images().take(image);
        Some(Lease {
            shared: Arc::downgrade(self),
            ids,
            image,
        })
    }

    /// Forgets an image that no worker will be made from any more.
    pub(super) fn discard(&self, image: ImageKey) {
        if self.images().discard(image) {
            self.launcher.evict(image);
        }
    }

    fn images(&self) -> MutexGuard<'_, Images> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        if let (Some(uids), Ids::Mapped(uid)) = (shared.uids().as_mut(), self.ids) {
            uids.give_back(uid);
        }
        let oldest = shared.images().give_back(self.image);
        if let Some(oldest) = oldest {
            shared.launcher.evict(oldest);
        }
    }
}

impl Images {
    fn take(&mut self, image: ImageKey) {
        *self.used.entry(image).or_default() += 1;
        self.idle.retain(|idle| *idle != image);
    }

    /// What is to be evicted comes back.
    fn give_back(&mut self, image: ImageKey) -> Option<ImageKey> {
        let left = self.used.get(&image).map_or(0, |used| used - 1);
        if left > 0 {
            self.used.insert(image, left);
            return None;
        }
        self.used.remove(&image);
        self.idle.push_back(image);
        (self.idle.len() > IDLE_IMAGES)
            .then(|| self.idle.pop_front())
            .flatten()
    }

    /// Whether it was there and is to be evicted.
    fn discard(&mut self, image: ImageKey) -> bool {
        let before = self.idle.len();
        self.idle.retain(|idle| *idle != image);
        self.idle.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(number: u64) -> ImageKey {
        ImageKey {
            digest: ([0; 32], [0; 32]),
            closure: number,
        }
    }

    #[test]
    fn image_in_use_is_never_evicted() {
        let mut images = Images::default();
        images.take(image(0));
        images.take(image(0));
        assert_eq!(images.give_back(image(0)), None);
        assert!(!images.discard(image(0)));
        for number in 1..=IDLE_IMAGES as u64 {
            images.take(image(number));
            assert_eq!(images.give_back(image(number)), None);
        }
        assert_eq!(images.give_back(image(0)), Some(image(1)));
        assert!(images.discard(image(0)));
    }

    #[test]
    fn reload_makes_an_image_young_again() {
        let mut images = Images::default();
        for number in 0..IDLE_IMAGES as u64 {
            images.take(image(number));
            images.give_back(image(number));
        }
        images.take(image(0));
        assert_eq!(images.give_back(image(0)), None);
        images.take(image(99));
        assert_eq!(images.give_back(image(99)), Some(image(1)));
    }
}
