//! Batches read ahead by background threads, in order, so that the device never waits for files or sounds.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use ndarray::Array4;

use super::{DataError, Images};

/// Batches that each worker reads ahead.
const AHEAD: usize = 2;

/// Inputs of a batch with their labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// `[N, H, W, C]` i8.
    pub codes: Array4<i8>,
    /// `[N]`.
    pub labels: Vec<u8>,
}

/// An iterator over batches. Worker `w` of `W` reads the batches `w`, `w + W`, ...: whichever is faster, the order is the same.
#[derive(Debug)]
pub struct Loader {
    queues: Vec<Receiver<Result<Batch, DataError>>>,
    workers: Vec<JoinHandle<()>>,
    next: usize,
    count: usize,
}

impl Loader {
    /// Starts to read batches of inputs in an order.
    ///
    /// order       indices of inputs; the last batch may be short
    /// batch_size  at least 1
    /// workers     threads, at least 1
    #[must_use]
    pub fn new(images: &Images, order: Vec<usize>, batch_size: usize, workers: usize) -> Self {
        let (images, order) = (Arc::new(images.clone()), Arc::new(order));
        let count = order.len().div_ceil(batch_size.max(1));
        let step = workers.clamp(1, count.max(1));
        let start = |first: usize| {
            let (images, order) = (Arc::clone(&images), Arc::clone(&order));
            let (sender, queue) = sync_channel(AHEAD);
            let worker = thread::spawn(move || {
                for indices in order.chunks(batch_size.max(1)).skip(first).step_by(step) {
                    let failed = {
                        let batch = read(&images, indices);
                        let failed = batch.is_err();
                        // Nobody waits any more where the loader was dropped.
                        sender.send(batch).is_err() || failed
                    };
                    if failed {
                        return;
                    }
                }
            });
            (queue, worker)
        };
        let (queues, workers) = (0..step).map(start).unzip();
        Self { queues, workers, next: 0, count }
    }
}

/// Threads to read with: all but the one that trains.
#[must_use]
pub fn worker_count() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))
}

fn read(images: &Images, indices: &[usize]) -> Result<Batch, DataError> {
    let codes = images.read(indices)?;
    Ok(Batch { codes, labels: indices.iter().map(|index| images.labels()[*index]).collect() })
}

impl Iterator for Loader {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.count {
            return None;
        }
        let queue = &self.queues[self.next % self.queues.len()];
        self.next += 1;
        // A worker that failed has told why, and ends there.
        queue.recv().ok().inspect(|batch| {
            if batch.is_err() {
                self.next = self.count;
            }
        })
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.queues.clear();
        for worker in self.workers.drain(..) {
            // A panic of a worker ends its queue, which is told by a batch too few.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use ndarray::ArrayViewMut3;
    use stepshift_runtime::format::Shape;

    use super::*;
    use crate::data::{Decode, FileInput};

    /// Codes that tell the part; some parts take longer than others, and one fails.
    #[derive(Debug, Default)]
    struct Slow {
        read: AtomicUsize,
        broken: Option<u32>,
    }

    impl Decode for Slow {
        fn decode(
            &self,
            path: &Path,
            part: u32,
            _: Option<u64>,
            mut codes: ArrayViewMut3<'_, i8>,
        ) -> Result<(), DataError> {
            self.read.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_micros(u64::from(part * 7919 % 13) * 100));
            if self.broken == Some(part) {
                return Err(DataError::contents(path, "broken"));
            }
            codes.fill(part as i8);
            Ok(())
        }
    }

    fn images(decoder: &Arc<Slow>) -> Images {
        let files = (0..100).map(|part| FileInput { path: "file".into(), part, label: part as u8 }).collect();
        Images::in_files(files, Shape { h: 1, w: 2, c: 1 }, decoder.clone())
    }

    #[test]
    fn batches_come_in_order_from_any_number_of_workers() {
        let order: Vec<usize> = (0..100).map(|index| index * 37 % 100).collect();
        for workers in [1, 2, 3, 8, 50] {
            let loader = Loader::new(&images(&Arc::default()), order.clone(), 7, workers);
            let batches = loader.collect::<Result<Vec<_>, _>>().unwrap();
            assert_eq!(batches.len(), 15);
            let labels: Vec<usize> =
                batches.iter().flat_map(|batch| &batch.labels).map(|label| (*label).into()).collect();
            assert_eq!(labels, order);
            let codes: Vec<usize> =
                batches.iter().flat_map(|batch| batch.codes.iter().step_by(2)).map(|c| *c as usize).collect();
            assert_eq!(codes, order);
        }
    }

    #[test]
    fn workers_read_ahead_but_not_far_and_stop_with_the_loader() {
        let decoder = Arc::new(Slow::default());
        let mut loader = Loader::new(&images(&decoder), (0..100).collect(), 1, 2);
        loader.next().unwrap().unwrap();
        while decoder.read.load(Ordering::Relaxed) < 5 {
            thread::yield_now();
        }
        drop(loader);
        // One taken, and for each worker what is ahead and in its hands, and one more that it had begun.
        assert!(decoder.read.load(Ordering::Relaxed) <= 1 + 2 * (AHEAD + 2));
    }

    #[test]
    fn a_file_that_cannot_be_read_ends_the_batches_with_its_name() {
        let decoder = Arc::new(Slow { broken: Some(40), ..Slow::default() });
        let results: Vec<_> = Loader::new(&images(&decoder), (0..100).collect(), 10, 3).collect();
        assert_eq!(results.len(), 5);
        assert_eq!(results[4].as_ref().unwrap_err().to_string(), "file: broken");
        assert!(results[..4].iter().all(Result::is_ok));
    }
}
