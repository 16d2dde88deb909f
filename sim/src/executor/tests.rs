use super::*;
use run_for_test as run;

#[test]
fn sleeps_end_in_order_and_exactly() {
    let ends = run(1, |executor| async move {
        let clock = executor.clock();
        let log = Rc::new(RefCell::new(Vec::new()));
        for delay in [30, 10, 20] {
            let (clock, log) = (clock.clone(), log.clone());
            executor.spawn(async move {
                clock.sleep(Duration::from_micros(delay)).await;
                log.borrow_mut().push((delay, clock.now()));
            });
        }
        clock.sleep(Duration::from_micros(100)).await;
        log.take()
    });
    let expected: Vec<_> = [10, 20, 30].map(|us| (us, Duration::from_micros(us))).into();
    assert_eq!(ends, Ok(expected));
}

#[test]
fn equal_deadlines_fire_in_an_order_of_the_seed() {
    let order = |seed| {
        run(seed, |executor| async move {
            let log = Rc::new(RefCell::new(Vec::new()));
            for number in 0..8 {
                let (clock, log) = (executor.clock(), log.clone());
                executor.spawn(async move {
                    clock.sleep(Duration::from_micros(5)).await;
                    log.borrow_mut().push(number);
                });
            }
            executor.clock().sleep(Duration::from_micros(9)).await;
            log.take()
        })
    };
    assert_eq!(order(3), order(3));
    assert!((0..20).any(|seed| order(seed) != order(seed + 1)));
}

/// In which order eight tasks take three steps each, all ready at the same time.
fn steps_of_eight(seed: u64, schedule: Option<Schedule>) -> Vec<usize> {
    let steps = run(seed, move |executor| async move {
        if let Some(schedule) = schedule {
            executor.follow(seed, schedule);
        }
        let log = Rc::new(RefCell::new(Vec::new()));
        for number in 0..8 {
            let log = log.clone();
            executor.spawn(async move {
                for step in 0..3 {
                    log.borrow_mut().push(number);
                    let mut woken = step == 2;
                    poll_fn(|cx| {
                        if std::mem::replace(&mut woken, true) {
                            return Poll::Ready(());
                        }
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    })
                    .await;
                }
            });
        }
        executor.clock().sleep(Duration::from_micros(1)).await;
        log.take()
    });
    steps.expect("nobody panics")
}

fn tasks_in_a_row(steps: &[usize]) -> usize {
    steps.chunk_by(|one, other| one == other).count()
}

#[test]
fn by_priority_a_task_goes_on_until_it_waits() {
    let steady = Some(Schedule { changes: 0, span_steps: u64::MAX });
    let steps = steps_of_eight(1, steady);
    assert_eq!((steps.len(), tasks_in_a_row(&steps)), (24, 8), "{steps:?}");
    assert_eq!(steps_of_eight(1, steady), steps);
    assert!((2..20).any(|seed| steps_of_eight(seed, steady) != steps), "priorities are of the seed");
    assert!(tasks_in_a_row(&steps_of_eight(1, None)) > 12, "any ready task runs next");
}

#[test]
fn task_that_is_put_back_is_overtaken_by_all_others() {
    // One change point, at each step of the first 24 in turn: a task of which steps are left then comes last.
    let put_back = (0..200).map(|seed| steps_of_eight(seed, Some(Schedule { changes: 1, span_steps: 40 })));
    let put_back = put_back.filter(|steps| tasks_in_a_row(steps) == 9).inspect(|steps| {
        let last = steps[23];
        assert!(steps[..21].contains(&last), "{steps:?}");
    });
    assert!(put_back.count() > 20);
}

#[test]
fn priorities_hold_nobody_back_when_time_goes_on_or_others_are_gone_or_stand_still() {
    let counts = run(5, |executor| async move {
        executor.follow(5, Schedule { changes: 2, span_steps: 50 });
        let clock = executor.clock();
        let counts = Rc::new(RefCell::new([0; 4]));
        let nodes: Vec<Node> = (0..4)
            .map(|number| {
                let (clock, counts) = (clock.clone(), counts.clone());
                executor.node("busy", move || {
                    let (clock, counts) = (clock.clone(), counts.clone());
                    async move {
                        loop {
                            clock.sleep(Duration::from_micros(1)).await;
                            counts.borrow_mut()[number] += 1;
                        }
                    }
                })
            })
            .collect();
        clock.sleep(Duration::from_micros(100)).await;
        nodes[0].kill();
        nodes[1].pause();
        clock.sleep(Duration::from_micros(100)).await;
        nodes[0].restart();
        nodes[1].resume();
        clock.sleep(Duration::from_micros(100)).await;
        counts.take()
    });
    let counts = counts.expect("nobody panics");
    assert!(counts[..2].iter().all(|count| (198..=202).contains(count)), "{counts:?}");
    assert!(counts[2..].iter().all(|count| (299..=301).contains(count)), "{counts:?}");
}

#[test]
fn killed_node_is_gone_and_starts_anew() {
    let counts = run(2, |executor| async move {
        let clock = executor.clock();
        let (starts, ticks) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let node = executor.node("target", {
            let (clock, starts, ticks) = (clock.clone(), starts.clone(), ticks.clone());
            move || {
                let (clock, ticks) = (clock.clone(), ticks.clone());
                starts.set(starts.get() + 1);
                async move {
                    loop {
                        clock.sleep(Duration::from_millis(10)).await;
                        ticks.set(ticks.get() + 1);
                    }
                }
            }
        });
        clock.sleep(Duration::from_millis(25)).await;
        node.kill();
        clock.sleep(Duration::from_millis(100)).await;
        let (dead, alive) = (ticks.get(), executor.tasks_alive());
        node.restart();
        clock.sleep(Duration::from_millis(15)).await;
        node.pause();
        clock.sleep(Duration::from_millis(50)).await;
        let paused = ticks.get();
        node.resume();
        clock.sleep(Duration::from_micros(1)).await;
        node.kill();
        clock.sleep(Duration::from_micros(1)).await;
        (starts.get(), dead, alive, paused, ticks.get(), executor.tasks_alive())
    });
    assert_eq!(counts, Ok((2, 2, 1, 3, 4, 1)), "the one that is alive is the test's own");
}

#[test]
fn freeze_fires_all_timers_at_once() {
    let times = run(4, |executor| async move {
        let clock = executor.clock();
        let log = Rc::new(RefCell::new(Vec::new()));
        for delay in [10, 20] {
            let (clock, log) = (clock.clone(), log.clone());
            executor.spawn(async move {
                clock.sleep(Duration::from_millis(delay)).await;
                log.borrow_mut().push(clock.now().as_millis());
            });
        }
        clock.sleep(Duration::from_millis(1)).await;
        clock.freeze(Duration::from_secs(60));
        clock.sleep(Duration::from_millis(1)).await;
        log.take()
    });
    assert_eq!(times, Ok(vec![60_001, 60_001]));
}

#[test]
fn panic_of_a_task_is_reported_and_a_deadlock_is_a_panic() {
    let story = run(5, |executor| async move {
        executor.spawn(async { panic!("the sky falls") });
        executor.panicked().await
    });
    assert!(story.is_ok_and(|story| story.contains("the sky falls")));
    let stuck = run(6, |_executor| std::future::pending::<()>());
    assert!(matches!(stuck, Err(Lost::Panic(story)) if story.contains("deadlock")));
}

#[test]
fn planned_panic_ends_its_task_and_is_no_finding() {
    let story = run(5, |executor| async move {
        let dropped = Rc::new(());
        let held = dropped.clone();
        executor.spawn(async move {
            let _held = held;
            std::panic::panic_any(PlannedPanic);
        });
        executor.clock().sleep(Duration::from_millis(1)).await;
        assert_eq!(Rc::strong_count(&dropped), 1, "the task is over");
        executor.spawn(async { panic!("the sky falls") });
        executor.panicked().await
    });
    assert!(story.is_ok_and(|story| story.contains("the sky falls")), "the first one to be reported is the second");
}

#[test]
fn livelock_is_noticed() {
    let story = run(7, |executor| async move {
        executor.spawn(async {
            loop {
                poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    Poll::Pending::<()>
                })
                .await;
            }
        });
        executor.panicked().await
    });
    assert!(story.is_ok_and(|story| story.contains("livelock")));
}
