//! As many sessions as the target takes, and then some.

use std::time::Duration;

use super::super::link::{Link, LinkError};
use super::super::login::{LoginError, LoginRequest, login};
use super::super::plan::{AttackStep, Keys, LoginStyle};
use super::super::shared::Phase;
use super::super::world::{Wire, World};
use super::Attacker;
use super::peer::variant;

/// More than the smaller limits of the generator: 16 and 32 connections, 8 and 24 sessions.
const SESSIONS: u8 = 40;
/// Once so many were turned away it is full.
const TURNED_AWAY_MAX: u32 = 3;
/// They come one behind the other, and not for ever.
const LIMIT: Duration = Duration::from_secs(30);
/// They stay for less than this, in milliseconds.
const STAY_MS: u32 = 500;
/// Class of a login status: the target cannot take it now (RFC 7143, 11.13.5).
const TARGET_ERROR: u16 = 3;

impl<W: World> Attacker<'_, W> {
    /// Sessions of one initiator side by side: one with the target takes the place of none, as each has an ISID of its own.
    /// One crowd in four is of discovery sessions. It stays away from a target that never asks whether its peers are there:
    /// with the link silent for ever, such a one would be full for ever, and be right.
    pub(super) async fn crowd(&mut self, step: &AttackStep) -> Result<(), LinkError> {
        if !self.shared.asks_peers {
            return Ok(());
        }
        let target = self.shared.target.clone();
        let target = (variant(step, 4) != 0).then_some(&*target);
        let (until, mut inside, mut turned_away) = (self.world.now() + LIMIT, Vec::new(), 0);
        for number in 1..=SESSIONS {
            let over = self.world.now() > until || self.shared.phase.get() != Phase::Chaos;
            if over || turned_away == TURNED_AWAY_MAX {
                break;
            }
            match self.join(target, number).await {
                Ok(link) => inside.push(link),
                Err(LoginError::Transport) => turned_away += 1,
                Err(LoginError::Refused(status)) if status >> 8 == TARGET_ERROR => turned_away += 1,
                Err(LoginError::Refused(status)) => {
                    self.complain("I7", step, &format!("login {number} of a crowd was refused with {status:#06x}"));
                }
                Err(LoginError::Breach(oracle, message)) => self.complain(oracle, step, &message),
            }
        }
        self.world.sleep(Duration::from_millis(u64::from(step.amount / 4 % STAY_MS))).await;
        inside.into_iter().for_each(|link| link.wire.abort());
        Ok(())
    }

    async fn join(&mut self, target: Option<&str>, number: u8) -> Result<Link<W>, LoginError> {
        let mut link = Link::connect(&self.world, 1 << 16, self.connect_limit()).await?;
        let mut isid = self.plan.isid;
        isid[5] = number;
        let request = LoginRequest {
            name: &self.plan.name,
            isid,
            tsih: 0,
            target,
            keys: &Keys::default(),
            style: LoginStyle::OneShot,
            cmd_sn: self.cmd_sn,
            tag: self.plan.initial_tag,
        };
        let deadline = self.world.now() + Duration::from_millis(self.plan.timeouts.login_ms);
        login(&mut link, &request, deadline).await?;
        self.report.logins += 1;
        Ok(link)
    }
}
