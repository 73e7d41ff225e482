use std::collections::BTreeSet;

use super::*;

fn access(tenant: &str, roles: &[Role], scope: Scope) -> Access {
    Access { tenant: tenant.into(), roles: roles.iter().copied().collect(), scope }
}

fn targets(names: &[&str]) -> Scope {
    Scope { targets: Some(names.iter().map(|name| TargetName::from(*name)).collect()), ..Scope::default() }
}

#[test]
fn what_each_role_includes() {
    let included = |role: Role| Role::ALL.into_iter().filter(|other| role.includes(*other)).collect::<BTreeSet<_>>();
    assert_eq!(included(Role::Submit), [Role::Submit].into());
    assert_eq!(included(Role::Read), [Role::Read].into());
    assert_eq!(included(Role::Operate), [Role::Read, Role::Operate].into());
    assert_eq!(included(Role::Monitor), [Role::Monitor].into());
    assert_eq!(included(Role::Admin), Role::ALL.into());
    for role in Role::ALL {
        assert_eq!(role.as_str().parse(), Ok(role));
        assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
    }
    assert_eq!("root".parse::<Role>(), Err(BadRole));
}

#[test]
fn only_the_house_monitors() {
    for role in [Role::Monitor, Role::Admin] {
        assert!(access("default", &[role], Scope::default()).has(Role::Monitor));
        assert!(!access("acme", &[role], Scope::default()).has(Role::Monitor));
    }
}

#[test]
fn whoever_is_not_of_the_house_holds_only_what_was_given_by_name() {
    let (tokyo, osaka) = (TargetName::from("tokyo"), TargetName::from("osaka"));
    assert!(access("default", &[Role::Operate], Scope::default()).may_hold(&tokyo));
    assert!(!access("default", &[Role::Operate], targets(&["osaka"])).may_hold(&tokyo));
    assert!(!access("default", &[Role::Read], Scope::default()).may_hold(&tokyo));
    assert!(!access("acme", &[Role::Operate], Scope::default()).may_hold(&tokyo));
    let acme = access("acme", &[Role::Operate], targets(&["tokyo"]));
    assert!(acme.may_hold(&tokyo) && !acme.may_hold(&osaka));
}

#[test]
fn nobody_gives_more_than_they_have() {
    let all = Scope::default;
    let of_acme = access("acme", &[Role::Read], targets(&["tokyo"]));
    for (giver, may) in [
        (Access::full(), true),
        (access("acme", &[Role::Admin], all()), true),
        (access("acme", &[Role::Admin], targets(&["tokyo", "osaka"])), true),
        (access("acme", &[Role::Admin], targets(&["osaka"])), false),
        (access("acme", &[Role::Operate], all()), false),
        (access("other", &[Role::Admin], all()), false),
    ] {
        assert_eq!(giver.may_give(&of_acme), may, "{giver:?}");
    }
    assert!(!access("acme", &[Role::Admin], targets(&["tokyo"])).may_give(&access("acme", &[Role::Read], all())));
}
