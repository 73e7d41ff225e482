//! Random requests about tokens.

use fanfold_core::access::{SecretDigest, TokenId};
use fanfold_core::{Access, Role, Scope, TenantId};
use jiff::{SignedDuration, Timestamp};

use super::generator::Generator;
use super::requests::{Kind, Reply, if_any, if_made, if_some, reply};
use crate::contract::fixtures::{session, token};
use crate::{
    NewToken, Order, Page, REVOKED_KEPT, Revoked, Session, SessionBegun, SessionOf, Store, TokenCreated, TokenUse,
};

/// So few that most requests are about one that was created.
const NUMBERS: u64 = 40;

#[derive(Debug)]
pub(super) enum TokenRequest {
    Create(Box<NewToken>),
    Revoke(TokenId, Option<TenantId>, Revoked),
    Touch(Vec<TokenUse>),
    Read(TokenId),
    List(Option<TenantId>, Page<TokenId>),
    Live,
    Begin(Session),
    End(SecretDigest),
    Sweep(Timestamp, usize),
}

impl TokenRequest {
    pub(super) fn random(generator: &mut Generator) -> Self {
        match generator.below(12) {
            0..3 => Self::Create(Box::new(new_token(generator))),
            3 => {
                let by = generator.one_of(&["anna", "bert"]).to_owned();
                Self::Revoke(
                    id(generator),
                    generator.perhaps(2, Generator::tenant),
                    Revoked { at: generator.now(), by },
                )
            }
            4 => Self::Touch(generator.some(6, |generator| TokenUse { id: id(generator), at: generator.soon() })),
            5 => Self::Read(id(generator)),
            6 => {
                let order = generator.one_of(&[Order::NewestFirst, Order::OldestFirst]);
                let page = Page { order, after: generator.perhaps(2, id), limit: generator.one_of(&[0, 2, 5_000]) };
                Self::List(generator.perhaps(2, Generator::tenant), page)
            }
            7 => Self::Live,
            8..10 => Self::Begin(new_session(generator)),
            10 => Self::End(session(session_number(generator), SessionOf::Token(id(generator))).digest),
            _ => {
                let ago = i64::try_from(generator.below(300)).unwrap();
                let now = generator.now() + REVOKED_KEPT - SignedDuration::from_secs(ago);
                Self::Sweep(now, generator.one_of(&[1, 2, 2_000]))
            }
        }
    }

    pub(super) async fn send(&self, store: &dyn Store) -> Reply {
        match self {
            Self::Create(new) => reply(store.create_token((**new).clone()).await, |created| {
                Some(match created {
                    TokenCreated::New => Kind::CreateToken,
                    TokenCreated::NameTaken { .. } => Kind::CreateTokenNameTaken,
                    TokenCreated::TooMany => Kind::CreateTokenTooMany,
                    TokenCreated::TenantTooMany => Kind::CreateTokenTenantTooMany,
                })
            }),
            Self::Revoke(id, tenant, revoked) => {
                let answer = store.revoke_token(*id, tenant.as_ref(), revoked.clone()).await;
                reply(answer, if_made(Kind::RevokeToken))
            }
            Self::Touch(uses) => reply(store.touch_tokens(uses).await, |()| Some(Kind::TouchTokens)),
            Self::Read(id) => reply(store.token(*id).await, if_some(Kind::ReadToken)),
            Self::List(tenant, page) => reply(store.tokens(tenant.as_ref(), *page).await, if_any(Kind::ListTokens)),
            Self::Live => {
                reply(store.live_tokens().await, |live| (!live.tokens.is_empty()).then_some(Kind::LiveTokens))
            }
            Self::Begin(new) => reply(store.begin_session(new.clone()).await, |begun| {
                Some(match begun {
                    SessionBegun::New => Kind::BeginSession,
                    SessionBegun::TooMany => Kind::BeginSessionTooMany,
                })
            }),
            Self::End(digest) => reply(store.end_session(*digest).await, if_made(Kind::EndSession)),
            Self::Sweep(now, batch) => {
                reply(store.sweep_access(*now, *batch).await, |swept| (swept.deleted > 0).then_some(Kind::SweepAccess))
            }
        }
    }
}

fn number(generator: &mut Generator) -> u8 {
    u8::try_from(generator.below(NUMBERS)).unwrap()
}

/// So few that some of them are there.
fn session_number(generator: &mut Generator) -> u8 {
    u8::try_from(generator.below(12)).unwrap()
}

fn id(generator: &mut Generator) -> TokenId {
    token(number(generator), "").id
}

fn new_token(generator: &mut Generator) -> NewToken {
    let name = format!("token {}", generator.below(30));
    let token = token(number(generator), &name);
    let scope = Scope {
        routes: generator.perhaps(3, |generator| {
            generator.some(2, |generator| format!("r{}", generator.below(3))).into_iter().collect()
        }),
        targets: generator.perhaps(3, |_| ["tokyo".into()].into()),
    };
    let roles = generator.some(3, |generator| generator.one_of(&Role::ALL)).into_iter().collect();
    NewToken {
        access: Access { tenant: generator.tenant(), roles, scope },
        digest: if generator.once_in(9) { SecretDigest::from([200; 32]) } else { token.digest },
        created_at: generator.now(),
        expires_at: generator.perhaps(2, Generator::soon),
        ..token
    }
}

fn new_session(generator: &mut Generator) -> Session {
    let kind = generator.below(3);
    let (of, tenant) = match kind {
        0 | 1 => {
            let number = number(generator);
            let fixed = SessionOf::FixedToken(SecretDigest::from([number; 32]));
            let of = if kind == 0 { SessionOf::Token(token(number, "").id) } else { fixed };
            (of, if number.is_multiple_of(4) { TenantId::from("other") } else { TenantId::default() })
        }
        _ => {
            let access = Access { tenant: generator.tenant(), ..Access::full() };
            let (name, tenant) = (generator.one_of(&["anna (corp)", "bert (corp)"]).to_owned(), access.tenant.clone());
            (SessionOf::Vouched { name, issuer: "corp".to_owned(), access }, tenant)
        }
    };
    let lasts = SignedDuration::from_secs(i64::try_from(generator.below(2_000)).unwrap());
    let created_at = generator.now();
    Session { tenant, created_at, expires_at: created_at + lasts, ..session(session_number(generator), of) }
}
