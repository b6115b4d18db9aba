//! The objects that a controller is asked to look at.

use std::sync::{Arc, OnceLock};

use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::Object;

/// Triggers a controller. Clones trigger the same controller.
///
/// Until the controller runs (a follower's never does), triggers are dropped: a controller starts by looking at every
/// object of its kind, so nothing is missed, and a follower's queue does not grow. Duplicates are removed by the scheduler.
pub struct Queue<K: Object> {
    sender: Arc<OnceLock<UnboundedSender<ObjectRef<K>>>>,
}

impl<K: Object> Queue<K> {
    /// A queue to hand to caches and, once, to [`controller::run`](crate::controller::run).
    pub fn new() -> Self {
        Self { sender: Arc::default() }
    }

    /// Asks the controller to look at this object as soon as it can.
    pub fn trigger(&self, object: ObjectRef<K>) {
        if let Some(sender) = self.sender.get() {
            // A closed channel means that the process is shutting down.
            let _ = sender.send(object);
        }
    }

    /// From now on triggers are kept. `None` if a controller has the queue already.
    pub(crate) fn open(&self) -> Option<UnboundedReceiver<ObjectRef<K>>> {
        let (sender, receiver) = unbounded_channel();
        self.sender.set(sender).ok().map(|()| receiver)
    }
}

impl<K: Object> Default for Queue<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Object> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self { sender: Arc::clone(&self.sender) }
    }
}
