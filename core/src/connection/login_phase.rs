//! The driver of a connection in login phase: PDUs in, PDUs out, within a deadline. What login means is decided by
//! [`Login`].

use crate::connection::encode;
use crate::connection::login::{Identity, Login, LoginAction, LoginOutcome, LoginReply};
use crate::connection::opening::Opening;
use crate::connection::receive::{Part, Receiver};
use crate::env::{ByteStream, Runtime, TxData, TxPdu};
use crate::sync::give_way;
use crate::wire::{Bhs, LoginRequest, Opcode};

/// Data segments during login: MaxRecvDataSegmentLength has its default (RFC 7143, section 13.12).
const LOGIN_SEGMENT_BYTES: usize = 8192;

const NOT_A_LOGIN: &str = "a PDU other than a Login Request before full feature phase";

/// A login that was accepted but not yet answered.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    pub(crate) login: Login,
    pub(crate) outcome: LoginOutcome,
    /// Bytes that came behind the last request.
    pub(crate) unread: Vec<u8>,
}

/// Why a connection did not get through login.
#[derive(Debug)]
pub(crate) enum LoginFailure {
    /// Refused with this status (class and detail).
    Refused(u16),
    /// Dropped without an answer.
    Dropped(&'static str),
}

/// The bytes of a login response: never with digests.
pub(crate) fn encode_reply<B: AsRef<[u8]>>(reply: LoginReply) -> TxPdu<B> {
    let bhs = reply.response.to_bhs(reply.data.len());
    let data = if reply.data.is_empty() { TxData::None } else { TxData::Owned(reply.data) };
    encode(&bhs, data, false, false)
}

/// Takes a connection through login up to its last response, which is still to be sent. What comes first goes to
/// `opening`, too.
pub(crate) async fn negotiate<R: Runtime>(
    stream: &R::Stream,
    identity: &Identity<'_>,
    mut login: Login,
    opening: &Opening,
) -> Result<LoggedIn, LoginFailure> {
    let mut receiver = Receiver::new(LOGIN_SEGMENT_BYTES, identity.limits.ahs_bytes, false, false);
    let (mut bhs, mut data) = (None, Vec::new());
    loop {
        let chunk = match stream.recv().await {
            Ok(chunk) if !chunk.is_empty() => chunk,
            Ok(_) if !opening.spoke() => return Err(LoginFailure::Dropped("it left without a word")),
            Ok(_) => return Err(LoginFailure::Dropped("it left during login")),
            Err(_) => return Err(LoginFailure::Dropped("receiving failed during login")),
        };
        opening.hear(&chunk);
        if !opening.may_be_login() {
            if crate::planted!(StrangerCrashes) {
                unreachable!("the first PDU is a login request");
            }
            return Err(LoginFailure::Dropped(NOT_A_LOGIN));
        }
        let mut input = &chunk[..];
        while let Some(part) = receiver.next(&mut input).map_err(|error| LoginFailure::Dropped(error.cause()))? {
            match part {
                Part::Header(header) => {
                    // Checked before the data segment: a port scanner's bytes end here.
                    if !is_login(&header) {
                        return not_a_login(stream, &mut login).await;
                    }
                    bhs = Some(header);
                }
                Part::Data(piece) => data.extend_from_slice(piece),
                Part::End { .. } => {
                    let Some(header) = bhs.take() else { continue };
                    let segment = std::mem::take(&mut data);
                    if crate::buggify!(LoginYields) {
                        give_way().await;
                    }
                    if let Some(outcome) = on_request(stream, identity, &mut login, &header, &segment).await? {
                        return Ok(LoggedIn { login, outcome, unread: input.to_vec() });
                    }
                }
            }
        }
    }
}

fn is_login(bhs: &Bhs) -> bool {
    bhs.opcode() == Opcode::LOGIN_REQUEST && bhs.ahs_bytes() == 0
}

async fn on_request<R: ByteStream>(
    stream: &R,
    identity: &Identity<'_>,
    login: &mut Login,
    bhs: &Bhs,
    data: &[u8],
) -> Result<Option<LoginOutcome>, LoginFailure>
where
    R::Buf: AsRef<[u8]>,
{
    let request = LoginRequest::parse(bhs).map_err(|_| LoginFailure::Dropped(NOT_A_LOGIN))?;
    match login.on_request(identity, &request, data) {
        LoginAction::Reply(reply) => {
            send(stream, reply).await?;
            Ok(None)
        }
        LoginAction::Establish(outcome) => Ok(Some(*outcome)),
        LoginAction::Refuse(reply) => Err(refuse(stream, reply).await),
        LoginAction::Drop(error) => Err(LoginFailure::Dropped(error.cause())),
    }
}

/// Something other than a Login Request: when the login has begun, it is answered "invalid during login".
async fn not_a_login<S: ByteStream>(stream: &S, login: &mut Login) -> Result<LoggedIn, LoginFailure>
where
    S::Buf: AsRef<[u8]>,
{
    match login.on_other_pdu() {
        LoginAction::Refuse(reply) => Err(refuse(stream, reply).await),
        LoginAction::Drop(error) => Err(LoginFailure::Dropped(error.cause())),
        LoginAction::Reply(_) | LoginAction::Establish(_) => Err(LoginFailure::Dropped(NOT_A_LOGIN)),
    }
}

async fn refuse<S: ByteStream>(stream: &S, reply: LoginReply) -> LoginFailure
where
    S::Buf: AsRef<[u8]>,
{
    let status = u16::from(reply.response.status_class) << 8 | u16::from(reply.response.status_detail);
    match send(stream, reply).await {
        Ok(()) => LoginFailure::Refused(status),
        Err(failure) => failure,
    }
}

async fn send<S: ByteStream>(stream: &S, reply: LoginReply) -> Result<(), LoginFailure>
where
    S::Buf: AsRef<[u8]>,
{
    let (result, _) = stream.send(vec![encode_reply(reply)]).await;
    result.map_err(|_| LoginFailure::Dropped("sending failed during login"))
}
