//! Calls that lead to calls, one after the other.
//!
//! A reply may ask the next thing, which may be answered at once, and answering may find out that others are due, whose
//! replies ask as well. Where thousands wait that would be as many calls within each other, and a lane's stack is short.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::sync::thread_local;

type Call = Box<dyn FnOnce()>;

thread_local! {
    /// What is to be called when this thread's call returns, while it is in one.
    static LATER: RefCell<Option<VecDeque<Call>>> = const { RefCell::new(None) };
}

/// Calls `call` and then all that was left by it; but if this thread is in such a call already, leaves it to that.
/// A call must not panic, and must not wait for another.
pub(super) fn in_turn(call: impl FnOnce() + 'static) {
    let is_in_call = LATER.with(|later| later.borrow().is_some());
    if is_in_call {
        return LATER.with(|later| {
            let call: Call = Box::new(call);
            later.borrow_mut().get_or_insert_default().push_back(call);
        });
    }
    LATER.with(|later| later.replace(Some(VecDeque::new())));
    // Whatever happens, the thread is not in a call afterwards.
    let _end = End;
    call();
    while let Some(next) = LATER.with(|later| later.borrow_mut().as_mut()?.pop_front()) {
        next();
    }
}

struct End;

impl Drop for End {
    fn drop(&mut self) {
        let left = LATER.with(RefCell::take);
        drop(left);
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_call_is_over_before_those_that_it_leads_to_begin() {
        let order = Rc::new(RefCell::new(Vec::new()));
        let note = {
            let order = Rc::clone(&order);
            move |what| order.borrow_mut().push(what)
        };
        in_turn({
            let note = note.clone();
            move || {
                in_turn({
                    let note = note.clone();
                    move || {
                        in_turn({
                            let note = note.clone();
                            move || note("last")
                        });
                        note("second");
                    }
                });
                note("first");
            }
        });
        note("after all");
        assert_eq!(*order.borrow(), ["first", "second", "last", "after all"]);
    }
}
