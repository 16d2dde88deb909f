//! A back end and the failed-flush policy.
//!
//! After a failed flush nobody can tell which acknowledged blocks reached the medium: systems mark the lost pages
//! clean, and the next flush "succeeds". So the failure sticks to the logical unit, on all shards and until restart:
//! it takes no more writes, no flush succeeds, and reads go on. A durable write that fails counts as a failed flush,
//! since its flush cannot be told apart, with one exception: a store in write-through mode that is full or
//! takes no writes any more. That may pass, and nothing but durable writes was waiting to become durable. Each of them is told of its own failure
//! ([`super::Descriptions`]); others, and the next flush, may be told of it too, and fail without need. And a durable write
//! that the system never carried out to its end (EAGAIN, EINTR, nothing moved) fails alone: no data were reported as lost,
//! and its own were not acknowledged. The same answer to a flush sticks: nobody can tell how far it came.

use std::rc::Rc;
use std::sync::Arc;

use super::flush::Flushes;
use super::{Backend, BackendError, WriteFailure};
use crate::buggify::LATE;
use crate::env::{Durability, Geometry, Runtime};
use crate::event::Event;
use crate::id::Lun;
use crate::logical_unit::Shared;
use crate::planted;
use crate::target::IoMode;

/// The medium of one logical unit on one shard.
pub struct Medium<R: Runtime> {
    runtime: R,
    lun: Lun,
    backend: Backend<R>,
    mode: IoMode,
    shared: Arc<Shared>,
    flushes: Flushes,
}

impl<R: Runtime> Medium<R> {
    /// The medium of `lun`, kept on `backend`.
    pub fn new(runtime: R, lun: Lun, backend: Backend<R>, mode: IoMode, shared: Arc<Shared>) -> Self {
        Self { runtime, lun, backend, mode, shared, flushes: Flushes::default() }
    }

    /// What the medium is, for blocks of `block_bytes`.
    pub fn geometry(&self, block_bytes: u32) -> Geometry {
        self.backend.geometry(block_bytes)
    }

    /// Fills `buf` from `offset_bytes` on.
    pub async fn read(&self, offset_bytes: u64, buf: R::Buf) -> Result<R::Buf, BackendError> {
        let (result, buf) = self.backend.read(offset_bytes, buf).await;
        match result {
            Ok(()) => Ok(buf),
            Err(error) => {
                self.report(offset_bytes, buf.as_ref().len(), false);
                Err(error.into())
            }
        }
    }

    /// Writes all of `buf` at `offset_bytes`: durably in write-through mode or when `force_unit_access` is set.
    pub async fn write(
        self: &Rc<Self>,
        offset_bytes: u64,
        buf: R::Buf,
        force_unit_access: bool,
    ) -> Result<(), BackendError> {
        let durable = self.writes_through() || (force_unit_access && !planted!(FuaIgnored));
        let durability = if durable { Durability::Durable } else { Durability::Volatile };
        let length_bytes = buf.as_ref().len();
        if let Err(WriteFailure { error, partly }) = self.backend.write(offset_bytes, buf, durability).await {
            let error = BackendError::from(error);
            self.report(offset_bytes, length_bytes, true);
            if durable && error != BackendError::Unfinished {
                self.remember_failure(error);
            }
            // That it takes no writes, or is not there, would say that it holds nothing of this one.
            let refused_midway =
                partly && matches!(error, BackendError::ReadOnly | BackendError::Gone) && !planted!(PartRefused);
            let told = if refused_midway { BackendError::Unfinished } else { error };
            return if planted!(WriteErrorGood) && !durable { Ok(()) } else { Err(told) };
        }
        if !durable && crate::buggify!(FlushUnasked) {
            self.flush_later();
        }
        // A failure that was recorded while this one was under way concerns it too: it is not to be found durable later.
        let failed = self.shared.conditions().flush_failed();
        crate::probe!(WriteMeetsFailedFlush if failed);
        if failed { Err(BackendError::FlushFailed) } else { Ok(()) }
    }

    /// Makes every write that completed before this call durable, or says that this cannot be proved.
    pub async fn flush(self: &Rc<Self>) -> Result<(), BackendError> {
        let number = self.flush_later();
        let succeeded = self.flushes.wait(number).await;
        if succeeded && !self.shared.conditions().flush_failed() { Ok(()) } else { Err(BackendError::FlushFailed) }
    }

    /// Begins to make every write that completed before this call durable. A failure is remembered.
    pub fn flush_later(self: &Rc<Self>) -> u64 {
        let (number, idle) = self.flushes.request();
        if idle {
            let medium = self.clone();
            self.runtime.spawn(async move { medium.run_flushes().await });
        }
        number
    }

    async fn run_flushes(&self) {
        loop {
            if crate::buggify!(FlushLate) {
                self.runtime.sleep(LATE).await;
            }
            let Some(number) = self.flushes.begin() else { return };
            let result = self.backend.flush().await;
            let failed = result.is_err() && !planted!(FlushErrorSwallowed);
            if let Err(error) = result
                && failed
            {
                self.remember_failure(error.into());
            }
            self.flushes.end(number, failed);
        }
    }

    fn writes_through(&self) -> bool {
        self.mode != IoMode::WriteBack
    }

    /// Data may have been lost on the way to the medium.
    fn remember_failure(&self, error: BackendError) {
        if self.writes_through() && matches!(error, BackendError::NoSpace | BackendError::ReadOnly) {
            return;
        }
        if !planted!(StickyForgotten) && self.shared.record_flush_failure() {
            self.runtime.event(&Event::FlushFailed { lun: self.lun });
        }
    }

    fn report(&self, offset_bytes: u64, length_bytes: usize, write: bool) {
        let length_bytes = length_bytes as u64;
        self.runtime.event(&Event::MediumFailed { lun: self.lun, offset_bytes, length_bytes, write });
    }
}
