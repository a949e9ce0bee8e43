//! Rounds and the table.

use std::collections::HashMap;
use std::process::ExitCode;

use measured::Measured;
use subject::{Subject, Vaults};
use task::Task;

use crate::slow_store::Store;

mod measured;
mod subject;
mod task;

pub(crate) fn main() -> ExitCode {
    let mut words: Vec<_> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.first().is_some_and(|word| word == task::ROLE) {
        return task::child(&words.split_off(1));
    }
    let rounds = words.first().and_then(|word| word.parse().ok()).unwrap_or(3);
    let wanted = words.get(1).map_or("", String::as_str);
    if let Some(why) = subject::lacking() {
        println!("SKIPPED: {why}");
        return ExitCode::SUCCESS;
    }
    let tasks = Task::ALL.into_iter().filter(|task| task.name().contains(wanted));
    let (slow, local): (Vec<_>, Vec<_>) = tasks.partition(|task| task.is_on_the_slow_store());
    println!(
        "| task | oxcrypt s | gocryptfs s | bare s | speed, as a multiple | least - greatest | processor s | peak MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    if !local.is_empty() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let vaults = Vaults::make(folder.path());
        for task in local {
            row(task, &vaults, rounds);
        }
    }
    if !slow.is_empty() {
        let Some(store) = Store::start(&["--max-background", "64"], |folder| drop(Vaults::make(folder)))
        else {
            return ExitCode::SUCCESS;
        };
        let vaults = Vaults::at(&store.mounted(""), &store.behind(""));
        for task in slow {
            row(task, &vaults, rounds);
        }
    }
    ExitCode::SUCCESS
}

fn row(task: Task, vaults: &Vaults, rounds: usize) {
    let mut subjects: Vec<_> = Subject::ALL.into_iter().filter(|subject| subject.can(task)).collect();
    let mut all: HashMap<Subject, Vec<Measured>> = HashMap::new();
    for _ in 0..rounds {
        for subject in &subjects {
            let Some(measured) = subject.measure(task, vaults) else {
                println!("| {} | {subject:?} failed, or took too long | | | | | | |", task.name());
                return;
            };
            all.entry(*subject).or_default().push(measured);
        }
        subjects.rotate_left(1);
    }
    let of = |subject, what: fn(&Measured) -> f64| -> Vec<f64> {
        all.get(&subject).into_iter().flatten().map(what).collect()
    };
    let middle = |subject, what, digits: usize| {
        median(of(subject, what)).map_or("-".into(), |middle| format!("{middle:.digits$}"))
    };
    let both = |what, digits| {
        [Subject::Oxcrypt, Subject::Gocryptfs].map(|subject| middle(subject, what, digits)).join(" : ")
    };
    let [ours, theirs, bare] = Subject::ALL.map(|subject| middle(subject, |measured| measured.seconds, 3));
    let pairs =
        [Subject::Oxcrypt, Subject::Gocryptfs].map(|subject| of(subject, |measured| measured.seconds));
    let ratios: Vec<_> = pairs[0].iter().zip(&pairs[1]).map(|(ours, theirs)| theirs / ours).collect();
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = ratios.iter().copied().fold(0.0, f64::max);
    println!(
        "| {} | {ours} | {theirs} | {bare} | {} | {least:.2} - {greatest:.2} | {} | {} |",
        task.name(),
        median(ratios).map_or("-".into(), |ratio| format!("{ratio:.2}")),
        both(|measured| measured.processor, 2),
        both(|measured| measured.peak, 0),
    );
}

/// The middle one.
fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied()
}
