//! The timers of a connection in full feature phase: is the peer still there, does it still read, and does it send what
//! it owes?

use std::rc::Rc;
use std::time::Duration;

use crate::env::{Runtime, TxData};
use crate::event::Event;
use crate::id::{Itt, Lun};
use crate::session::Session;
use crate::sync::within;
use crate::wire::NopIn;

/// Watches over a connection until it is closed: asks a silent peer with a NOP-In (RFC 7143, section 11.19) and
/// closes the connection when no answer comes, a send makes no progress, or something that others wait for does not come
/// to its end.
pub(crate) async fn watch<R: Runtime>(session: Rc<Session<R>>) {
    let connection = &session.connection;
    let limits = &session.limits;
    let marks = &limits.marks;
    let answer_time = if crate::planted!(AnswerHurried) { limits.nop_timeout / 2 } else { limits.nop_timeout };
    let mut asked: Option<Duration> = None;
    // When a verdict was put off last.
    let mut put_off = Duration::ZERO;
    loop {
        let now = connection.runtime.now();
        let heard = connection.heard.get().at;
        // Any PDU is a sign of life, not only the answer. What was heard at the time of the question came behind it: before
        // it there was silence.
        if asked.is_some_and(|asked| heard >= asked && !crate::planted!(AnswerIgnored)) {
            asked = None;
        }
        let send_due = connection.sending_since.get().map(|since| since + limits.send_stall);
        let life_due = match asked {
            Some(_) if crate::planted!(AnswerUntimed) => None,
            // Its time does not run while the question waits behind other PDUs; that send has a limit of its own.
            Some(_) => Some(connection.question_left().map_or(now, |left| left.max(put_off)) + answer_time),
            // A connection that is being closed has its linger; no question would leave it.
            None if connection.write_list.is_closed() => None,
            None if crate::planted!(SilenceUnasked) => None,
            None if crate::buggify!(PingEarly) => Some(now),
            None => (!limits.nop_interval.is_zero()).then(|| heard + limits.nop_interval),
        };
        let pdu_due = connection.pdu_due(limits.initiator_stall);
        if send_due.is_some_and(|due| due <= now) {
            marks.send_stall.meet();
            crate::probe!(PeerDoesNotRead);
            return connection.abort("the peer does not read");
        }
        if pdu_due.is_some_and(|due| due <= now) {
            marks.initiator_stall.meet();
            return connection.abort("a PDU does not come to its end");
        }
        if session.gap_due().is_some_and(|due| due <= now) {
            marks.initiator_stall.meet();
            crate::probe!(GapGivenUp);
            return connection.abort("a command is missing before others");
        }
        session.give_up_stalled(now);
        if life_due.is_some_and(|due| due <= now) {
            if asked.is_some() && connection.write_list.bytes() > 0 {
                // The answer may be held up by what is being sent.
                crate::probe!(AnswerHeldUp);
                put_off = now;
                continue;
            }
            if asked.is_some() && !crate::planted!(VanishedPeerKept) {
                marks.nop_timeout.meet();
                crate::probe!(PeerSilent);
                return connection.abort("no answer to NOP-In");
            }
            asked = Some(now);
            marks.nop_interval.meet();
            ask(&session);
            continue;
        }
        // What begins only after this look is looked at soon enough.
        let next_look = now + limits.send_stall.min(limits.initiator_stall);
        // When the answer comes, the next question is due that long after it, and not when the time for the answer is over.
        let after_answer = asked.filter(|_| !limits.nop_interval.is_zero() && !crate::planted!(QuestionLate));
        let after_answer = after_answer.map(|_| now + limits.nop_interval);
        let dues = [send_due, life_due, after_answer, pdu_due, session.gap_due(), session.data_due(), Some(next_look)];
        let due = dues.into_iter().flatten().min().unwrap_or(now);
        if crate::planted!(TimersOutlive) {
            connection.runtime.sleep(due - now).await;
            continue;
        }
        if within(&connection.runtime, due - now, connection.until_closed()).await.is_some() {
            return;
        }
    }
}

fn ask<R: Runtime>(session: &Session<R>) {
    let (exp_cmd_sn, max_cmd_sn) = session.window_numbers();
    let connection = &session.connection;
    // A valid Target Transfer Tag asks for an answer; StatSN is told but not used up.
    let pdu = NopIn {
        lun: Lun::default(),
        itt: Itt::NONE,
        ttt: session.next_ttt(),
        stat_sn: connection.stat_sn(),
        exp_cmd_sn,
        max_cmd_sn,
    };
    connection.send(pdu.to_bhs(0), TxData::None);
    connection.asked();
    connection.runtime.event(&Event::PeerAsked { connection: connection.id });
}
