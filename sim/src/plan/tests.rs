use super::*;

#[test]
fn plan_survives_toml() {
    for profile in [Profile::Full, Profile::Lite, Profile::Swarm] {
        for seed in [0, 1, 77, u64::MAX] {
            let plan = Plan::generate(seed, profile);
            let text = plan.to_toml();
            let read = Plan::from_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert!(read == plan, "seed {seed:#x} of {}", profile.name());
        }
    }
}

#[test]
fn seed_alone_decides_the_plan() {
    assert!(Plan::generate(5, Profile::Full) == Plan::generate(5, Profile::Full));
    assert!(Plan::generate(5, Profile::Full) != Plan::generate(6, Profile::Full));
}

#[test]
fn full_profile_is_the_reference() {
    let plans: Vec<Plan> = (0..200).map(|seed| Plan::generate(seed, Profile::Full)).collect();
    let (most, others): (Vec<_>, Vec<_>) =
        plans.iter().map(|plan| plan.faults.len()).partition(|faults| *faults == 200);
    let faults: usize = others.iter().sum();
    assert!((12..=18).contains(&(faults / others.len())), "{} faults in {} plans", faults, others.len());
    assert!((1..=15).contains(&most.len()), "{} plans have 200", most.len());
    assert!(plans.iter().any(|plan| plan.faults.is_empty()));
    assert!(plans.iter().all(|plan| plan.initiators.len() == 3 && plan.units.len() == 4));
}

#[test]
fn faults_are_keyed_by_themselves() {
    // Fault 3 is the same whether the plan has 4 faults or 20: nothing that comes before or after moves it.
    let big = (0..400).map(|seed| Plan::generate(seed, Profile::Swarm)).find(|plan| plan.faults.len() > 10);
    let big = big.expect("some plan is big");
    let text = big.to_toml();
    let mut smaller = Plan::from_toml(&text).expect("it was written");
    let removed = smaller.faults.remove(2);
    assert_eq!(removed.id, 2);
    assert!(smaller.faults.iter().zip(big.faults.iter().filter(|fault| fault.id != 2)).all(|(a, b)| a == b));
}

#[test]
fn some_plans_have_a_read_only_unit_and_none_has_it_first() {
    let plans: Vec<Plan> = (0..400).map(|seed| Plan::generate(seed, Profile::Full)).collect();
    let protections: Vec<_> = plans.iter().flat_map(|plan| &plan.units).filter_map(|unit| unit.protected).collect();
    assert!((10..=45).contains(&protections.len()), "{} of {}", protections.len(), plans.len());
    assert!(protections.contains(&Protection::Operator) && protections.contains(&Protection::Device));
    assert!(plans.iter().all(|plan| plan.units[0].protected.is_none()));
}

#[test]
fn seeds_are_read_as_people_write_them() {
    assert_eq!(parse_seed("0xff"), Ok(255));
    assert_eq!(parse_seed("31"), Ok(31));
    assert!(parse_seed("abc").is_err_and(|error| error.contains("write one like")));
}

#[test]
fn fault_is_one_line_of_words() {
    let kind = FaultKind::Cut { initiator: 1, cut: Cut::Every(7), for_us: 20 };
    assert_eq!(kind.to_words(), "fault=cut, initiator=1, cut={at=every, bytes=7}, for_us=20");
}

/// A new field of `Limits` does not compile here before it is a knob: one that draws at least two values.
#[test]
fn every_limit_is_a_knob() {
    let drawn: Vec<_> = (0..200).map(|seed| Plan::generate(seed, Profile::Swarm).target.limits()).collect();
    let Limits {
        connections,
        logins_per_peer,
        sessions_per_target,
        login_deadline,
        text_bytes,
        text_keys,
        text_exchanges,
        ahs_bytes,
        max_recv_data_segment_bytes,
        max_burst_bytes,
        max_outstanding_r2t,
        command_window,
        immediate_commands,
        task_management_functions,
        task_set_tasks,
        work_queue_tasks,
        workers,
        disowned_tasks,
        durable_writes,
        write_list_pdus,
        write_list_bytes,
        transfer_bytes,
        transfer_interruptions,
        pool_bytes,
        pool_shares,
        abort_deadline,
        data_out_deadline,
        initiator_stall,
        stall_bytes,
        nop_interval,
        nop_timeout,
        send_stall,
        stop_sessions,
        final_flush,
        linger,
    } = Limits::default();
    macro_rules! varies {
        ($($field:ident)*) => {
            $(assert!(drawn.iter().any(|limits| limits.$field != $field), stringify!($field));)*
        };
    }
    varies!(connections logins_per_peer sessions_per_target login_deadline text_bytes text_keys text_exchanges ahs_bytes max_recv_data_segment_bytes max_burst_bytes max_outstanding_r2t command_window immediate_commands task_management_functions task_set_tasks work_queue_tasks workers disowned_tasks durable_writes write_list_pdus write_list_bytes transfer_bytes transfer_interruptions pool_bytes pool_shares abort_deadline data_out_deadline initiator_stall stall_bytes nop_interval nop_timeout send_stall stop_sessions final_flush linger);
}
