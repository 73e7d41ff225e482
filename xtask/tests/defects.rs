//! The planted defects still fit the sources, and there is one for each guarantee.

#[test]
fn every_defect_applies_and_every_guarantee_has_one() {
    let problems = xtask::defects::problems(&xtask::tidy::workspace_root()).unwrap();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// A patch that fits nothing, and the guarantees that are left without one, are told.
#[test]
fn a_patch_that_does_not_apply_is_a_problem() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("crates/sim/defects");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(root.path().join("a.rs"), "fn a() {}\n").unwrap();
    std::fs::write(folder.join("README.md"), "| G1 | `a-gone` | a is gone |\n").unwrap();
    let patch = |from: &str| {
        format!(
            "G1: a is gone\n\ndiff --git a/a.rs b/a.rs\n--- a/a.rs\n+++ b/a.rs\n@@ -1 +1 @@\n-{from}\n+fn b() {{}}\n"
        )
    };
    let problems = || xtask::defects::problems(root.path()).unwrap();
    std::fs::write(folder.join("a-gone.patch"), patch("fn a() {}")).unwrap();
    assert_eq!(problems().len(), 8, "all guarantees but G1 are without a defect: {:?}", problems());
    std::fs::write(folder.join("a-gone.patch"), patch("fn other() {}")).unwrap();
    assert!(problems()[0].contains("a-gone does not apply"), "{:?}", problems());
    std::fs::write(folder.join("b-gone.patch"), patch("fn a() {}").replace("a is gone", "a is b")).unwrap();
    let unlisted = problems().into_iter().filter(|problem| problem.ends_with("| G1 | `b-gone` | a is b |"));
    assert_eq!(unlisted.count(), 1, "{:?}", problems());
    std::fs::write(folder.join("a-gone.patch"), "no guarantee").unwrap();
    assert!(xtask::defects::problems(root.path()).is_err());
}
