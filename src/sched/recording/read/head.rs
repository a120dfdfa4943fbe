//! What stands once in a recording: the process, the runtime's counters, what looking cost and what was not seen.

use super::Parsed;
use super::tables::{Tables, of_code, same_length};
use crate::sched::model::{Batch, Class, Cost, Counters, GcPause, Item, Loss, PUse, Plan, Quality, TargetFacts, Throttled, Tier, Window};
use crate::sched::recording::{PAYERS, proto};

pub fn target_of(target: &proto::Target, tables: &mut Tables) -> Parsed<TargetFacts> {
    Ok(TargetFacts {
        pid: target.pid,
        start_ticks: target.start_ticks,
        exe: tables.text(target.exe)?,
        go_version: tables.text(target.go_version)?,
        main_module: tables.text(target.main_module)?,
        stripped: target.stripped,
        build_mode: tables.text(target.build_mode)?,
    })
}

pub fn batches_of(batches: &proto::Batches, tables: &mut Tables) -> Parsed<Vec<Batch>> {
    let proto::Batches { alive_ns, class_ns } = batches;
    let (classes, rest) = class_ns.as_chunks::<{ Class::ALL.len() }>();
    let n = same_length(&[alive_ns.len(), classes.len() + rest.len()])?;
    tables.charge::<Batch>(n)?;
    Ok(alive_ns.iter().zip(classes).map(|(&alive_ns, &by_class)| Batch { alive_ns, by_class }).collect())
}

pub fn counters_of(counters: &proto::Counters, tables: &mut Tables) -> Parsed<Counters> {
    let pauses = same_length(&[counters.pause_ends.len(), counters.pauses.len()])?;
    let lengths = [counters.p_ids.len(), counters.p_time_slices.len(), counters.p_syscalls.len()];
    let ps = same_length(&[&lengths[..], &[counters.p_queue_means.len(), counters.p_queue_maxima.len()]].concat())?;
    tables.charge::<GcPause>(pauses)?;
    tables.charge::<PUse>(ps)?;
    let p = |i: usize| PUse {
        id: counters.p_ids[i],
        time_slices: counters.p_time_slices[i],
        syscalls: counters.p_syscalls[i],
        queue_mean: counters.p_queue_means[i],
        queue_max: counters.p_queue_maxima[i],
    };
    Ok(Counters {
        gomaxprocs: counters.gomaxprocs,
        time_slices: counters.time_slices,
        syscalls: counters.syscalls,
        created: counters.created,
        gc_cycles: counters.gc_cycles,
        gc_pauses: (0..pauses).map(|i| GcPause { end_unix_ns: counters.pause_ends[i], pause_ns: counters.pauses[i] }).collect(),
        ps: (0..ps).map(p).collect(),
        idle_ps: counters.idle_ps,
        spinning_ms: counters.spinning_ms,
        global_queue: counters.global_queue,
        throttled: counters.throttled.map(|throttled| Throttled {
            periods: throttled.periods,
            throttled_periods: throttled.throttled_periods,
            throttled_ns: throttled.throttled_ns,
        }),
    })
}

pub fn cost_of(cost: proto::Cost, tables: &mut Tables) -> Parsed<Cost> {
    let proto::Cost { plan, probes_ns, target_cpu_ns, own_cpu_ns, attach_ns, detach_ns } = cost;
    let plan = plan.map(|plan| plan_of(&plan, tables)).transpose()?;
    Ok(Cost { plan, probes_ns, target_cpu_ns, own_cpu_ns, attach_ns, detach_ns })
}

fn plan_of(plan: &proto::Plan, tables: &mut Tables) -> Parsed<Plan> {
    let n = same_length(&[plan.whats.len(), plan.payers.len(), plan.per_second.len(), plan.ns_each.len()])?;
    tables.charge::<Item>(n)?;
    let mut items = Vec::with_capacity(n);
    for i in 0..n {
        items.push(Item {
            what: tables.text(plan.whats[i])?.into(),
            payer: of_code(&PAYERS, plan.payers[i], "payer")?,
            per_second: plan.per_second[i],
            ns_each: plan.ns_each[i],
        });
    }
    Ok(Plan { tier: of_code(&Tier::ALL, plan.tier, "tier")?, hz: plan.hz, switch_stacks: plan.switch_stacks, items })
}

pub fn quality_of(quality: proto::Quality, tables: &mut Tables) -> Parsed<Quality> {
    let proto::Quality { cpus, sent, received, lost, malformed, warnings, .. } = &quality;
    let n = same_length(&[cpus.len(), sent.len(), received.len(), lost.len(), malformed.len()])?;
    tables.charge::<Loss>(n)?;
    tables.charge::<String>(warnings.len())?;
    let loss = |i: usize| Loss { cpu: cpus[i], sent: sent[i], received: received[i], lost: lost[i], malformed: malformed[i] };
    Ok(Quality {
        losses: (0..n).map(loss).collect(),
        late: quality.late,
        not_followed: quality.not_followed,
        truncated_stacks: quality.truncated_stacks,
        unresolved_frames: quality.unresolved_frames,
        walks: quality.walks,
        torn: quality.torn,
        skipped: quality.skipped,
        not_resident: quality.not_resident,
        layout: tables.text(quality.layout)?,
        warnings: warnings.iter().map(|&warning| tables.text(warning)).collect::<Parsed<_>>()?,
    })
}

/// Whoever adds up what is in a window never gets more than a number can hold: it would be no time of this universe.
pub fn window_adds_up(window: &Window) -> Parsed<()> {
    let mut sums = [0u128; 8];
    for row in &window.rows {
        sums[0] += u128::from(row.on_cpu_ns) + u128::from(row.off_cpu_ns);
        sums[1] += u128::from(row.count);
    }
    for thread in &window.threads {
        sums[2] += u128::from(thread.on_cpu_ns) + u128::from(thread.waited_ns);
    }
    for loss in &window.quality.losses {
        sums[3] += u128::from(loss.sent) + u128::from(loss.received) + u128::from(loss.lost) + u128::from(loss.malformed);
    }
    for blocked in window.transitions.iter().flat_map(|transitions| &transitions.blocked) {
        sums[4] += u128::from(blocked.ns);
    }
    sums[5] = u128::from(window.alive_ns) + sums[0];
    sums[6] = u128::from(window.samples);
    sums[7] = u128::from(window.length_ns);
    if sums.iter().any(|&sum| sum > i64::MAX as u128) { Err("its times and counts are too large".to_owned()) } else { Ok(()) }
}
