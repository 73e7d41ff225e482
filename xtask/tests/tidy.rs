//! The rules of the house hold.

#[test]
fn the_rules_of_the_house_hold() {
    let problems = xtask::tidy::problems(&xtask::tidy::workspace_root()).unwrap();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}
