//! Rounds, pairs, and the table.

use std::process::ExitCode;

use subject::{Subject, Vaults};
use task::Task;

use crate::slow_store::Store;

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
    println!("| task | oxcrypt s | gocryptfs s | speed, as a multiple | least - greatest |");
    println!("| --- | --- | --- | --- | --- |");
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
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let order = if round % 2 == 0 {
            [Subject::Oxcrypt, Subject::Gocryptfs]
        } else {
            [Subject::Gocryptfs, Subject::Oxcrypt]
        };
        let times = order.map(|subject| subject.times(task, vaults));
        let (our, their) = if round % 2 == 0 { (times[0], times[1]) } else { (times[1], times[0]) };
        let (Some(our), Some(their)) = (our, their) else {
            println!("| {} | failed or took too long: {our:?}, {their:?} s | | | |", task.name());
            return;
        };
        ours.push(our);
        theirs.push(their);
        ratios.push(their / our);
    }
    let (our, their, ratio) = (median(&mut ours), median(&mut theirs), median(&mut ratios));
    let (least, greatest) = (ratios.first().copied().unwrap_or(0.0), ratios.last().copied().unwrap_or(0.0));
    println!("| {} | {our:.3} | {their:.3} | {ratio:.2} | {least:.2} - {greatest:.2} |", task.name());
}

/// The middle one; sorts them.
fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}
