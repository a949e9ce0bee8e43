//! `oxcrypt status`.

use std::process::Command;

use rustix::process::geteuid;
use serde_json::Value;

use crate::command::{run, skip};
use crate::place::Place;

#[test]
fn a_status_has_all_that_its_help_promises() {
    let Some(place) = Place::new() else { return };
    assert_eq!(place.mount(&["-o", "ro"]).code, Some(0));
    place.read();
    let own = place.mountpoint().display().to_string();
    let ended = place.run(&["status", &own, "--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let status = &ended.objects()[0];
    assert_eq!(status["mountpoint"], own.as_str());
    assert_eq!(status["vault"], place.vault().display().to_string());
    assert_eq!((&status["storage"], &status["requests"]), (&Value::from("answers"), &Value::from(0)));
    assert_eq!(status["readOnly"], true);
    // A read need not show: what the host has at hand is read without an operation.
    assert!(status["classes"]["meta"]["count"].as_u64().unwrap() > 0, "a lookup went to storage: {status}");
    assert!(status["classes"]["meta"]["p99Us"].as_u64().unwrap() > 0, "{status}");
    for number in ["/pid", "/reserveLeft", "/inodes", "/handles", "/held", "/files", "/memory/residentBytes"]
    {
        assert!(status.pointer(number).is_some_and(Value::is_u64), "{number}: {status}");
    }
    for field in ["/since", "/version", "/log", "/counters/timedOut", "/damaged", "/operations", "/kernel"] {
        assert!(status.pointer(field).is_some(), "{field}: {status}");
    }

    let told = place.run(&["status", &own]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert_eq!(told.out.lines().next(), Some(format!("{own}: nobody waits for storage").as_str()));
}

#[test]
fn what_others_have_mounted_is_not_told_and_no_failure_of_ones_own() {
    let Some(place) = Place::new() else { return };
    if !geteuid().is_root() {
        return skip("only root can be another user here");
    }
    assert_eq!(place.mount(&["-o", "ro"]).code, Some(0));
    let as_nobody = |more: &[&str]| {
        let mut setpriv = Command::new("setpriv");
        let status = place.command(&["status"]);
        setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(status.get_program());
        run(setpriv.args(status.get_args()).args(more).current_dir("/"))
    };
    if as_nobody(&["--help"]).code != Some(0) {
        return skip("another user cannot run the command here, or setpriv is missing");
    }
    let own = place.mountpoint().display().to_string();
    // No more than that: other tests mount as nobody.
    let all = as_nobody(&[]);
    assert!(!all.err.contains(&own) && !all.out.contains(&own), "{all:?}");
    let one = as_nobody(&[&own]);
    assert!(one.code == Some(5) && one.err.contains("another user"), "{one:?}");
}
