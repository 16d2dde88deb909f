//! Unit attentions of one logical unit in one session (oracle T8): each cause is reported, and reported once.

/// What is known about the unit attentions of a logical unit.
#[derive(Debug, Default)]
pub(super) struct Attention {
    /// Conditions 29/xx reported so far.
    reported: usize,
    /// A command vanished that may have been the one to report.
    unknown: bool,
}

impl Attention {
    /// A command reported 29/xx, of which the login and `resets` are the possible causes.
    pub(super) fn reported(&mut self, resets: usize) -> Result<(), String> {
        self.reported += 1;
        if self.reported > 1 + resets {
            return Err(format!("29/xx reported {} times after one login and {resets} resets", self.reported));
        }
        Ok(())
    }

    /// A command that should have reported ended in another way; `others` are in flight and may report yet.
    pub(super) fn passed(&self, others: bool) -> Result<(), String> {
        if self.reported == 0 && !self.unknown && !others {
            return Err("a command ended GOOD, the unit attention of the login was never reported".to_owned());
        }
        Ok(())
    }

    /// A command ended without a status.
    pub(super) fn vanished(&mut self) {
        self.unknown = true;
    }
}
