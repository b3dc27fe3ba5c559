//! The world of one seed: its time, its disk, its smarthost, and whose turn it is.
//!
//! Each process is one thread or several, but one of all threads runs at a time. Before each step that touches the world it
//! hands on to one that chance names, so that every order of steps is possible, and the same seed leads to the same one. A
//! process that was killed goes on with its hands tied: nothing that it does from then on has an effect.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use leafmail::clock::{Clock, Timestamp};

use crate::disk_state::{Breakage, DiskState, Inode};
use crate::failure_rates::FailureRates;
use crate::judge::Judge;
use crate::seeded::Chance;

/// 2026-11-21.
const BEGINNING: u64 = 1_795_226_607_123;
/// More threads than any episode has.
const MOST_TASKS: usize = 16;
/// How many steps of others a task waits that was refused a lock.
const NAP: u32 = 24;

thread_local! {
    /// Which task this thread is; none is the one that looks on.
    static TASK: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The process is dead.
#[derive(Debug)]
pub(crate) struct Dead;

pub(crate) struct World {
    state: Mutex<State>,
    bells: Vec<Condvar>,
}

pub(crate) struct State {
    pub(crate) chance: Chance,
    /// Milliseconds since the epoch.
    pub(crate) now: u64,
    pub(crate) disk_state: DiskState,
    /// Whether the sync of a file makes its name durable too, as on a file system with a journal: with every other seed.
    pub(crate) covers_names: bool,
    pub(crate) judge: Judge,
    pub(crate) rates: FailureRates,
    pub(crate) trace: Trace,
    /// Handles of files, and the processes that hold them.
    handles: Vec<usize>,
    /// Whether each process is alive.
    processes: Vec<bool>,
    tasks: Vec<Task>,
    turn: Option<usize>,
}

struct Task {
    done: bool,
    nap: u32,
}

/// What happened, as a sum and, where somebody wants to read it, in words.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) steps: u64,
    pub(crate) sum: u64,
    pub(crate) words: Option<Vec<String>>,
}

impl Trace {
    fn note(&mut self, now: u64, process: usize, what: &str, about: &str) {
        self.steps += 1;
        for octet in what.bytes().chain(about.bytes()).chain(now.to_le_bytes()).chain([process as u8]) {
            self.sum = (self.sum ^ u64::from(octet)).wrapping_mul(0x0100_0000_01B3);
        }
        let steps = self.steps;
        if let Some(words) = &mut self.words {
            words.push(format!("{steps:>6} {now} p{process} {what} {about}"));
        }
    }
}

/// What a task does until it leaves.
pub(crate) type Work<'w> = Box<dyn FnOnce() + Send + 'w>;

impl World {
    /// A world in which nothing has happened; `words` asks for a trace that can be read.
    pub(crate) fn new(seed: u64, breakage: Breakage, words: bool) -> Self {
        let state = State {
            chance: Chance::new(seed),
            now: BEGINNING,
            disk_state: DiskState::new(breakage),
            covers_names: seed.is_multiple_of(2),
            judge: Judge::default(),
            rates: FailureRates::NONE,
            trace: Trace { words: words.then(Vec::new), ..Trace::default() },
            handles: Vec::new(),
            processes: Vec::new(),
            tasks: Vec::new(),
            turn: None,
        };
        Self { state: Mutex::new(state), bells: (0..MOST_TASKS).map(|_| Condvar::new()).collect() }
    }

    /// What is, for whoever only looks or takes note.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new process.
    pub(crate) fn process(&self) -> usize {
        let mut state = self.state();
        state.processes.push(true);
        state.processes.len() - 1
    }

    pub(crate) fn is_alive(&self, process: usize) -> bool {
        self.state().processes[process]
    }

    /// Lets others go first. Then it is this process's turn, unless a failure ended it.
    ///
    /// # Errors
    /// When the process is dead: then nothing may be done.
    pub(crate) fn step(&self, process: usize, what: &str, about: &str) -> Result<MutexGuard<'_, State>, Dead> {
        let mut state = self.state();
        if !state.processes[process] {
            return Err(Dead);
        }
        if let Some(me) = TASK.get() {
            state = self.hand_on(state, me);
            state.let_failures_happen(process);
        }
        if !state.processes[process] {
            return Err(Dead);
        }
        state.note(process, what, about);
        Ok(state)
    }

    /// Runs these to their ends, beside each other.
    pub(crate) fn run(&self, tasks: Vec<(usize, Work<'_>)>) {
        assert!(tasks.len() <= MOST_TASKS, "there are bells for {MOST_TASKS} only");
        let mut state = self.state();
        state.tasks = tasks.iter().map(|_| Task { done: false, nap: 0 }).collect();
        state.turn = state.next(None);
        drop(state);
        thread::scope(|scope| {
            for (me, (process, work)) in tasks.into_iter().enumerate() {
                scope.spawn(move || {
                    TASK.set(Some(me));
                    drop(self.wait_for_turn(self.state(), me));
                    let panicked = catch_unwind(AssertUnwindSafe(work)).is_err();
                    let mut state = self.state();
                    if panicked {
                        state.judge.find(format!("an internal error stopped process {process}"));
                    }
                    state.tasks[me].done = true;
                    state.turn = state.next(None);
                    if let Some(next) = state.turn {
                        self.bells[next].notify_one();
                    }
                });
            }
        });
    }

    fn hand_on<'w>(&'w self, mut state: MutexGuard<'w, State>, me: usize) -> MutexGuard<'w, State> {
        let next = state.next(Some(me));
        if next == Some(me) {
            return state;
        }
        state.turn = next;
        if let Some(next) = next {
            self.bells[next].notify_one();
        }
        self.wait_for_turn(state, me)
    }

    fn wait_for_turn<'w>(&'w self, mut state: MutexGuard<'w, State>, me: usize) -> MutexGuard<'w, State> {
        while state.turn != Some(me) {
            let (woken, waited) =
                self.bells[me].wait_timeout(state, Duration::from_secs(300)).unwrap_or_else(PoisonError::into_inner);
            assert!(!waited.timed_out(), "whoever has the turn does not hand on: it waits for another");
            state = woken;
        }
        state
    }
}

impl State {
    /// Whose turn it is; mostly of whom it was.
    fn next(&mut self, present: Option<usize>) -> Option<usize> {
        for task in &mut self.tasks {
            task.nap = task.nap.saturating_sub(1);
        }
        if let Some(present) = present.filter(|present| self.tasks[*present].nap == 0)
            && !self.chance.one_in(3)
        {
            return Some(present);
        }
        let running = |all: bool| {
            let ready = |(_, task): &(usize, &Task)| !task.done && (all || task.nap == 0);
            self.tasks.iter().enumerate().filter(ready).map(|(index, _)| index).collect::<Vec<_>>()
        };
        let awake = Some(running(false)).filter(|awake| !awake.is_empty()).unwrap_or_else(|| running(true));
        (!awake.is_empty()).then(|| *self.chance.of(&awake))
    }

    /// Time passes, and with it what may befall a process at any step.
    fn let_failures_happen(&mut self, process: usize) {
        self.now += self.chance.below(20) as u64;
        let rates = self.rates;
        if self.chance.one_in(rates.clock_jump) {
            self.jump();
        }
        if self.chance.one_in(rates.kill) {
            self.kill(process);
        } else if self.chance.one_in(rates.power_cut) {
            self.cut_power();
        }
    }

    /// The clock on the wall is set.
    fn jump(&mut self) {
        const DAY: u64 = 86_400_000;
        let to = [BEGINNING - 10 * DAY, self.now - DAY, self.now + 10 * DAY, self.now + 5 * 365 * DAY];
        self.now = *self.chance.of(&to);
        self.note(0, "the clock jumps", "");
    }

    fn kill(&mut self, process: usize) {
        self.note(process, "is killed", "");
        self.judge.figures.kills += 1;
        self.bury(process);
    }

    /// A process ended: its locks are free.
    fn bury(&mut self, process: usize) {
        self.processes[process] = false;
        self.judge.trouble(process);
        for (handle, _) in self.handles.iter().enumerate().filter(|(_, holder)| **holder == process) {
            self.disk_state.unlock(handle);
        }
    }

    pub(crate) fn cut_power(&mut self) {
        self.note(0, "the power is cut", "");
        self.judge.figures.power_cuts += 1;
        for process in 0..self.processes.len() {
            if self.processes[process] {
                self.bury(process);
            }
        }
        self.disk_state.cut_power(&mut self.chance);
    }

    /// Ends all processes that are left, without harm.
    pub(crate) fn end_all(&mut self) {
        self.processes.iter_mut().for_each(|alive| *alive = false);
    }

    /// Something to be read in the trace.
    pub(crate) fn note(&mut self, process: usize, what: &str, about: &str) {
        let now = self.now;
        self.trace.note(now, process, what, about);
    }

    /// A sync of a file fails.
    pub(crate) fn fail_sync(&mut self, inode: Inode) {
        self.disk_state.fail_sync(inode, &mut self.chance);
    }

    /// A handle of an open file, which ends with its process.
    pub(crate) fn handle(&mut self, process: usize) -> usize {
        self.handles.push(process);
        self.handles.len() - 1
    }

    /// Whoever was refused a lock lets others go on.
    pub(crate) fn nap(&mut self) {
        if let Some(me) = TASK.get() {
            self.tasks[me].nap = NAP;
        }
    }

    pub(crate) fn timestamp(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        self.state().timestamp()
    }
}
