//! `oxcrypt status`: what mounts are doing, also while their storage hangs.

use std::time::Duration;

use indicatif::BinaryBytes;
use oxcrypt_fuse::table::Mounted;
use serde_json::Value;

use super::mounts::{PATIENCE, all, find, is_ours, reach};
use crate::args::StatusArgs;
use crate::control::{Answer, Question};
use crate::exit::{Code, Failure, Result};
use crate::output::local_time_of;
use crate::printable::printable;
use crate::session::Session;

/// Files that could not be stored are named up to here.
const SHOWN: usize = 8;

pub(crate) fn run(args: &StatusArgs, session: &mut Session) -> Result<()> {
    let mounts = match &args.mountpoint {
        Some(meant) => vec![find(meant)?],
        // What others have mounted answers them alone.
        None => all()?.into_iter().filter(is_ours).collect(),
    };
    if mounts.is_empty() && !session.out.is_json() {
        session.console.note("no vault is mounted");
    }
    let mut silent = false;
    for mounted in &mounts {
        match ask(mounted) {
            Some(status) if session.out.is_json() => session.out.object(status)?,
            Some(status) => {
                for line in lines(&status) {
                    session.out.line(printable(&line))?;
                }
            }
            None if !is_ours(mounted) => {
                silent = true;
                let place = mounted.mountpoint.display();
                session
                    .console
                    .error(format_args!("{place} was mounted by another user, whom alone it tells"));
            }
            None => {
                silent = true;
                let place = mounted.mountpoint.display();
                session.console.error(format_args!("the process behind {place} does not answer"));
            }
        }
    }
    match (silent, &args.mountpoint) {
        (false, _) => Ok(()),
        (true, Some(_)) => Err(Failure::said(Code::Failed)),
        (true, None) => Err(Failure::said(Code::Partial)),
    }
}

fn ask(mounted: &Mounted) -> Option<Value> {
    match reach(mounted)?.ask(Question::Status, PATIENCE) {
        Ok(Answer::Status(status)) => Some(status),
        _ => None,
    }
}

/// A status for people. A field that is missing is one that is not known, or one of another version.
fn lines(status: &Value) -> Vec<String> {
    let at = |pointer: &str| status.pointer(pointer);
    let text = |pointer| at(pointer).and_then(Value::as_str).unwrap_or("?");
    let number = |pointer| at(pointer).and_then(Value::as_u64);
    let shown = |pointer| number(pointer).map_or_else(|| "?".to_owned(), |number| number.to_string());
    let mut lines = vec![
        format!("{}: {}{}", text("/mountpoint"), waiting(status), failing(status)),
        format!(
            "  vault      {}, process {}, since {}",
            text("/vault"),
            shown("/pid"),
            local_time_of(text("/since"))
        ),
        format!("  storage    {}; {} places for stalled work left", text("/storage"), shown("/reserveLeft")),
    ];
    lines.extend(unsaved(status));
    if let Some(age) = number("/oldest/ageMs") {
        let (operation, path) = (text("/oldest/operation"), text("/oldest/path"));
        lines.push(format!("  oldest     {operation} of {path}, {}", time(Duration::from_millis(age))));
    }
    lines.extend(at("/classes").and_then(Value::as_object).into_iter().flatten().filter_map(class));
    lines.push(format!(
        "  answers    {} late, {} refused, {} from what was known before; {} operations adopted",
        shown("/counters/timedOut"),
        shown("/counters/shed"),
        shown("/counters/stale"),
        shown("/counters/adopted")
    ));
    lines.push(format!(
        "  kernel     {} requests without an answer; queues up to {}, of which {} are held",
        shown("/kernel/waiting"),
        shown("/kernel/maxBackground"),
        shown("/held")
    ));
    let mib = number("/memory/residentBytes").map_or_else(|| "?".to_owned(), |it| (it >> 20).to_string());
    lines.push(format!(
        "  memory     {mib} MiB; {} entries known to the kernel, {} open",
        shown("/inodes"),
        shown("/handles")
    ));
    let damaged = at("/damaged").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    lines.extend(damaged.map(|damage| format!("  damaged    {damage}")));
    if let Some(log) = at("/log").and_then(Value::as_str) {
        lines.push(format!("  log        {log}"));
    }
    lines
}

/// That something is wrong with storage that no time may mend, for the first line.
fn failing(status: &Value) -> String {
    match status.pointer("/unsaved/failed").and_then(Value::as_u64) {
        None | Some(0) => String::new(),
        Some(failed) => format!("; {} could not be stored", counted(failed, "file")),
    }
}

/// What storage has not taken, if there is anything.
fn unsaved(status: &Value) -> Vec<String> {
    let at = |pointer: &str| status.pointer(pointer);
    let number = |pointer| at(pointer).and_then(Value::as_u64).unwrap_or(0);
    let (files, failed) = (number("/unsaved/files"), number("/unsaved/failed"));
    if files == 0 {
        return Vec::new();
    }
    let since = at("/unsaved/oldest").and_then(Value::as_str).map(local_time_of);
    let since = since.map_or_else(String::new, |since| format!(", the oldest written {since}"));
    let bytes = BinaryBytes(number("/unsaved/bytes"));
    let mut lines = vec![format!("  unsaved    {}, {bytes}{since}", counted(files, "file"))];
    for error in at("/unsaved/errors").and_then(Value::as_array).into_iter().flatten().take(SHOWN) {
        let text = |field: &str| error.get(field).and_then(Value::as_str).unwrap_or("?");
        lines.push(format!("  not stored {}: {}", text("path"), text("error")));
    }
    if failed > 0 {
        let place = at("/mountpoint").and_then(Value::as_str).unwrap_or("?");
        lines.push(format!(
            "             it is tried again; `oxcrypt discard {place}` names what could not be stored"
        ));
    }
    lines
}

/// Who waits, in one line.
fn waiting(status: &Value) -> String {
    let number = |pointer| status.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    if number("/requests") == 0 {
        return "nobody waits for storage".to_owned();
    }
    let operations = status.pointer("/operations").and_then(Value::as_object).into_iter().flatten();
    let operations = operations.map(|(name, count)| counted(count.as_u64().unwrap_or(0), name));
    let (operations, files) = (operations.collect::<Vec<_>>().join(", "), counted(number("/files"), "file"));
    let oldest = time(Duration::from_millis(number("/oldest/ageMs")));
    format!("waiting for storage: {operations} of {files}, oldest {oldest}")
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 || what.ends_with('s') { "" } else { "s" })
}

/// A class that has done anything yet.
fn class((name, class): (&String, &Value)) -> Option<String> {
    let number = |field: &str| class.get(field).and_then(Value::as_u64).unwrap_or(0);
    let (waiting, running, stalled) = (number("waiting"), number("running"), number("stalled"));
    if number("count") + waiting + running == 0 {
        return None;
    }
    let micros = |field| time(Duration::from_micros(number(field)));
    Some(format!(
        "  {name:<10} {waiting} waiting, {running} running, {stalled} of them stalled; {} done, half of them within \
         {}, 99 % within {}",
        number("count"),
        micros("p50Us"),
        micros("p99Us")
    ))
}

/// A time, as exact as anybody cares.
fn time(time: Duration) -> String {
    match (time.as_secs(), time.as_millis()) {
        (0, 0) => format!("{} us", time.as_micros()),
        (0, millis) => format!("{millis} ms"),
        (seconds, _) if seconds < 180 => format!("{seconds} s"),
        (seconds, _) => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_line_says_who_waits_and_for_how_long() {
        let status = json!({
            "mountpoint": "/mnt/vault", "vault": "/cloud/vault", "pid": 7, "since": "2026-11-25T06:00:00Z",
            "storage": "stalled", "requests": 38, "files": 12, "operations": { "read": 37, "lookup": 1 },
            "oldest": { "operation": "read", "path": "d/AA/BB/x.c9r", "ageMs": 48_100 },
            "classes": { "demand": { "waiting": 1, "running": 8, "stalled": 2, "count": 3, "p50Us": 900, "p99Us": 61_000_000 },
                         "meta": { "waiting": 0, "running": 0, "stalled": 0, "count": 0 } },
            "unsaved": { "files": 2, "bytes": 3072, "failed": 1, "oldest": null,
                         "errors": [{ "path": "d/AA/BB/z.c9r", "bytes": 1024, "error": "no space left" }] },
            "damaged": ["read: chunk 1 of d/AA/BB/y.c9r"],
        });
        let lines = lines(&status);
        assert_eq!(
            lines[0],
            "/mnt/vault: waiting for storage: 1 lookup, 37 reads of 12 files, oldest 48 s; 1 file could not be stored"
        );
        let all = lines.join("\n");
        for part in
            ["unsaved    2 files, 3.00 KiB", "not stored d/AA/BB/z.c9r: no space left", "discard /mnt/vault"]
        {
            assert!(all.contains(part), "{part}: {all}");
        }
        for part in
            ["read of d/AA/BB/x.c9r, 48 s", "within 900 us, 99 % within 61 s", "damaged    read: chunk 1"]
        {
            assert!(all.contains(part), "{part}: {all}");
        }
        assert!(!all.contains("meta"), "{all}");
    }

    #[test]
    fn what_is_not_known_is_no_reason_to_be_silent() {
        assert!(lines(&json!({}))[0].ends_with("nobody waits for storage"));
    }
}
