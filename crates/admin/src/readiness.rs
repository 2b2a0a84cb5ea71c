//! Readiness of the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_meters::Meters;

/// Says when the process is ready to take traffic. A clone is the same readiness.
///
/// The process is ready once the VMs of its first configuration run, and stays ready until it ends: a VM that dies later
/// is replaced while its streams get their fail policy, which metrics show.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Phase>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The first configuration is being loaded.
    #[default]
    Starting,
    /// The configuration is served; VMs that did not start at first may be missing.
    Started,
    /// All its VMs have been up.
    Ready,
    Ending,
}

impl Readiness {
    /// The first configuration is being served: its VMs run, but for those that could not be started and are tried again.
    /// Called by the proxy, once.
    pub fn started(&self) {
        let mut phase = self.phase();
        if *phase == Phase::Starting {
            *phase = Phase::Started;
        }
    }

    /// The process takes no new traffic any more. Called by the proxy when it shuts down.
    pub fn ending(&self) {
        *self.phase() = Phase::Ending;
    }

    /// Ok where the process is ready; else the reason why it is not.
    ///
    /// # Errors
    ///
    /// The process is not ready.
    pub fn check(&self, meters: &Meters) -> Result<(), String> {
        let mut phase = self.phase();
        match *phase {
            Phase::Starting => Err("the filters are being started".to_owned()),
            Phase::Started => match meters.slots_restarting() {
                0 => {
                    *phase = Phase::Ready;
                    Ok(())
                }
                waiting => Err(format!("{waiting} VMs did not start and are tried again")),
            },
            Phase::Ready => Ok(()),
            Phase::Ending => Err("the process is shutting down".to_owned()),
        }
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_from_the_first_vms_to_the_end() {
        let (readiness, meters) = (Readiness::default(), Meters::default());
        assert!(readiness.check(&meters).is_err());
        let missing = meters.restarting();
        readiness.started();
        assert!(
            readiness
                .check(&meters)
                .unwrap_err()
                .starts_with("1 VMs did not start")
        );
        drop(missing);
        assert_eq!(readiness.check(&meters), Ok(()));
        let _died_later = meters.restarting();
        assert_eq!(readiness.check(&meters), Ok(()));
        readiness.ending();
        readiness.started();
        assert!(readiness.check(&meters).is_err());
    }
}
