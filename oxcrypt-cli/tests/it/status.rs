//! `oxcrypt status`.

use serde_json::Value;

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
    assert!(status["classes"]["demand"]["count"].as_u64().unwrap() > 0, "a read went to storage: {status}");
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
