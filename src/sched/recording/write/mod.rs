//! From a window to the pieces of a recording.

mod armed;
mod tables;

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use prost::Message;

use super::proto::{self, Piece};
use super::{CUTS, LARGEST_PIECE, MAGIC, PAYERS, SOURCES, VERSION, what};
use crate::sched::model::{
    Blocked, Class, Cost, Counters, Moment, Plan, Present, Quality, Row, RunLatency, Stack, TargetFacts, ThreadUse, Tier, Timeline,
    Transitions, Waits, WakePath, Waker, What, Window,
};
use tables::{Tables, code};

/// Records in one piece; stacks are longer.
const RECORDS: usize = 16 * 1024;
const STACKS: usize = 256;

/// Errors: what writing says, and `InvalidInput` for a window that no reader would take.
pub fn write(window: &Window, mut out: impl Write) -> io::Result<()> {
    out.write_all(MAGIC)?;
    out.write_all(&[VERSION])?;
    let mut pieces = Pieces { tables: Tables::default(), out: ZlibEncoder::new(out, Compression::default()) };
    pieces.window(window)?;
    pieces.out.finish()?.flush()
}

struct Pieces<W: Write> {
    tables: Tables,
    out: ZlibEncoder<W>,
}

impl<W: Write> Pieces<W> {
    // Each field is named, so that a new one cannot be forgotten here.
    fn window(&mut self, window: &Window) -> io::Result<()> {
        let Window {
            captured_at,
            target,
            length_ns,
            tier,
            rows,
            stacks,
            alive_ns,
            batches,
            threads,
            run_queue,
            cpu_queue,
            counters,
            transitions,
            stops,
            timeline,
            before,
            trigger,
            samples,
            cost,
            quality,
        } = window;
        let (seconds, nanoseconds) = since_1970(*captured_at);
        let head = proto::Head {
            seconds,
            nanoseconds,
            target: Some(self.tables.target(target)),
            length_ns: *length_ns,
            tier: code(&Tier::ALL, tier),
            alive_ns: *alive_ns,
            samples: *samples,
            run_queue: run_queue.as_ref().map(|waits| waits_of([waits])),
            cpu_queue: cpu_queue.as_ref().map(|waits| waits_of([waits])),
            counters: Some(counters_of(counters)),
            cost: Some(self.tables.cost(cost)),
            quality: Some(self.tables.quality(quality)),
            unpaired: transitions.as_ref().map(|transitions| transitions.unpaired),
            runnable_ns: transitions.as_ref().and_then(|transitions| transitions.runnable_ns),
            timeline: timeline.as_ref().map(|timeline| proto::Timeline {
                monotonic_ns: timeline.clock.0,
                realtime_ns: timeline.clock.1,
                dropped: timeline.dropped,
            }),
            stops: stops.as_ref().map(|stops| armed::stops_of(stops)),
            trigger: trigger.as_ref().map(|trigger| armed::trigger_of(trigger, &mut self.tables)),
            before: (!before.is_empty()).then(|| armed::before_of(before)),
            batches: (!batches.is_empty()).then(|| proto::Batches {
                alive_ns: batches.iter().map(|batch| batch.alive_ns).collect(),
                class_ns: batches.iter().flat_map(|batch| batch.by_class).collect(),
            }),
        };
        self.put(Piece { head: Some(head), ..Piece::default() })?;
        for part in stacks.chunks(STACKS) {
            let stacks = Some(self.tables.stacks(part));
            self.put(Piece { stacks, ..Piece::default() })?;
        }
        for part in rows.chunks(RECORDS) {
            let rows = Some(self.tables.rows(part));
            self.put(Piece { rows, ..Piece::default() })?;
        }
        for part in threads.chunks(RECORDS) {
            let threads = Some(self.tables.threads(part));
            self.put(Piece { threads, ..Piece::default() })?;
        }
        transitions.iter().try_for_each(|transitions| self.transitions(transitions))?;
        timeline.iter().try_for_each(|timeline| self.timeline(timeline))
    }

    fn transitions(&mut self, transitions: &Transitions) -> io::Result<()> {
        let Transitions { run_latency, blocked, wakes, unpaired: _, runnable_ns: _ } = transitions;
        for part in run_latency.chunks(RECORDS) {
            let run_latency = Some(self.tables.run_latency(part));
            self.put(Piece { run_latency, ..Piece::default() })?;
        }
        for part in blocked.chunks(RECORDS) {
            let blocked = Some(self.tables.blocked(part));
            self.put(Piece { blocked, ..Piece::default() })?;
        }
        for part in wakes.chunks(RECORDS) {
            let wakes = Some(self.tables.wakes(part));
            self.put(Piece { wakes, ..Piece::default() })?;
        }
        Ok(())
    }

    fn timeline(&mut self, timeline: &Timeline) -> io::Result<()> {
        let Timeline { clock: _, present, moments, dropped: _ } = timeline;
        let mut goid = 0;
        for part in present.chunks(RECORDS) {
            let present = Some(self.tables.present(part, &mut goid));
            self.put(Piece { present, ..Piece::default() })?;
        }
        let mut time = 0;
        for part in moments.chunks(RECORDS) {
            let moments = Some(self.tables.moments(part, &mut time));
            self.put(Piece { moments, ..Piece::default() })?;
        }
        Ok(())
    }

    /// With what the tables have got since the piece before.
    fn put(&mut self, piece: Piece) -> io::Result<()> {
        let (strings, frames, label_sets) = self.tables.take_fresh();
        let piece = Piece { strings, frames, label_sets, ..piece };
        let bytes = piece.encode_length_delimited_to_vec();
        if bytes.len() > LARGEST_PIECE {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "one piece of the window is too large for a recording"));
        }
        self.out.write_all(&bytes)
    }
}

impl Tables {
    fn target(&mut self, target: &TargetFacts) -> proto::Target {
        let TargetFacts { pid, start_ticks, exe, go_version, main_module, stripped, build_mode } = target;
        proto::Target {
            pid: *pid,
            start_ticks: *start_ticks,
            exe: self.text(exe),
            go_version: self.text(go_version),
            main_module: self.text(main_module),
            stripped: *stripped,
            build_mode: self.text(build_mode),
        }
    }

    fn cost(&mut self, cost: &Cost) -> proto::Cost {
        let Cost { plan, probes_ns, target_cpu_ns, own_cpu_ns, attach_ns, detach_ns } = cost;
        proto::Cost {
            plan: plan.as_ref().map(|plan| self.plan(plan)),
            probes_ns: *probes_ns,
            target_cpu_ns: *target_cpu_ns,
            own_cpu_ns: *own_cpu_ns,
            attach_ns: *attach_ns,
            detach_ns: *detach_ns,
        }
    }

    fn plan(&mut self, plan: &Plan) -> proto::Plan {
        let Plan { tier, hz, switch_stacks, items } = plan;
        proto::Plan {
            tier: code(&Tier::ALL, tier),
            hz: *hz,
            switch_stacks: *switch_stacks,
            whats: items.iter().map(|item| self.text(&item.what)).collect(),
            payers: items.iter().map(|item| code(&PAYERS, &item.payer)).collect(),
            per_second: items.iter().map(|item| item.per_second).collect(),
            ns_each: items.iter().map(|item| item.ns_each).collect(),
        }
    }

    fn quality(&mut self, quality: &Quality) -> proto::Quality {
        let Quality {
            losses,
            late,
            not_followed,
            truncated_stacks,
            unresolved_frames,
            walks,
            torn,
            skipped,
            not_resident,
            layout,
            warnings,
        } = quality;
        proto::Quality {
            cpus: losses.iter().map(|loss| loss.cpu).collect(),
            sent: losses.iter().map(|loss| loss.sent).collect(),
            received: losses.iter().map(|loss| loss.received).collect(),
            lost: losses.iter().map(|loss| loss.lost).collect(),
            malformed: losses.iter().map(|loss| loss.malformed).collect(),
            late: *late,
            not_followed: *not_followed,
            truncated_stacks: *truncated_stacks,
            unresolved_frames: *unresolved_frames,
            walks: *walks,
            torn: *torn,
            skipped: *skipped,
            not_resident: *not_resident,
            layout: self.text(layout),
            warnings: warnings.iter().map(|warning| self.text(warning)).collect(),
        }
    }

    fn stacks(&mut self, stacks: &[Stack]) -> proto::Stacks {
        let mut out = proto::Stacks::default();
        for Stack { frames, cut } in stacks {
            out.lengths.push(frames.len() as u32);
            out.frames.extend(frames.iter().map(|frame| self.frame(frame)));
            out.cuts.push(cut.map_or(0, |cut| code(&CUTS, &cut) + 1));
        }
        out
    }

    fn rows(&mut self, rows: &[Row]) -> proto::Rows {
        let mut out = proto::Rows::default();
        for row in rows {
            let Row { class, source, reason, stack, start, creator, labels, count, on_cpu_ns, off_cpu_ns } = row;
            out.classes.push(code(&Class::ALL, class));
            out.sources.push(code(&SOURCES, source));
            out.reasons.push(self.optional(reason.as_ref()));
            out.stacks.push(*stack);
            out.starts.push(self.optional(start.as_ref()));
            out.creators.push(self.optional(creator.as_ref()));
            out.label_sets.push(self.labels(labels));
            out.counts.push(*count);
            out.on_cpu_ns.push(*on_cpu_ns);
            out.off_cpu_ns.push(*off_cpu_ns);
        }
        out
    }

    fn threads(&mut self, threads: &[ThreadUse]) -> proto::Threads {
        proto::Threads {
            tids: threads.iter().map(|thread| thread.tid).collect(),
            names: threads.iter().map(|thread| self.text(&thread.name)).collect(),
            on_cpu_ns: threads.iter().map(|thread| thread.on_cpu_ns).collect(),
            waited_ns: threads.iter().map(|thread| thread.waited_ns).collect(),
            switches: threads.iter().map(|thread| thread.switches).collect(),
        }
    }

    fn run_latency(&mut self, latencies: &[RunLatency]) -> proto::RunLatency {
        proto::RunLatency {
            creators: latencies.iter().map(|latency| self.optional(latency.creator.as_ref())).collect(),
            files: latencies.iter().map(|latency| self.optional(latency.place.as_ref().map(|(file, _)| file))).collect(),
            lines: latencies.iter().map(|latency| latency.place.as_ref().map_or(0, |(_, line)| *line)).collect(),
            totals_ns: latencies.iter().map(|latency| latency.total_ns).collect(),
            waits: Some(waits_of(latencies.iter().map(|latency| &latency.waits))),
        }
    }

    fn blocked(&mut self, blocked: &[Blocked]) -> proto::Blocked {
        proto::Blocked {
            reasons: blocked.iter().map(|blocked| self.optional(blocked.reason.as_ref())).collect(),
            stacks: blocked.iter().map(|blocked| blocked.stack).collect(),
            counts: blocked.iter().map(|blocked| blocked.count).collect(),
            ns: blocked.iter().map(|blocked| blocked.ns).collect(),
        }
    }

    fn wakes(&mut self, wakes: &[WakePath]) -> proto::Wakes {
        let mut out = proto::Wakes::default();
        for WakePath { hops, count, ns } in wakes {
            out.counts.push(*count);
            out.ns.push(*ns);
            out.lengths.push(hops.len() as u32);
            for hop in hops {
                let (by, waker) = match hop.by {
                    Waker::Goroutine(stack) => (0, stack),
                    Waker::Network => (1, 0),
                    Waker::Timer => (2, 0),
                    Waker::Scheduler => (3, 0),
                };
                out.stacks.push(hop.stack);
                out.reasons.push(self.optional(hop.reason.as_ref()));
                out.by.push(by);
                out.wakers.push(waker);
            }
        }
        out
    }

    fn present(&mut self, present: &[Present], before: &mut u64) -> proto::Present {
        let mut out = proto::Present::default();
        for Present { goid, state, reason, stack } in present {
            out.goids.push(difference(*goid, std::mem::replace(before, *goid)));
            out.states.push(code(&Class::ALL, state));
            out.reasons.push(self.optional(reason.as_ref()));
            out.stacks.push(*stack);
        }
        out
    }

    fn moments(&mut self, moments: &[Moment], before: &mut u64) -> proto::Moments {
        let mut out = proto::Moments::default();
        for Moment { time_ns, cpu, tid, p, goid, by_goid, go_pc, stack, what } in moments {
            out.times.push(difference(*time_ns, std::mem::replace(before, *time_ns)));
            out.cpus.push(*cpu);
            out.tids.push(*tid);
            out.ps.push(*p);
            out.goids.push(*goid);
            out.by_goids.push(difference(*by_goid, *goid));
            out.go_pcs.push(*go_pc);
            out.stacks.push(stack.map_or(0, |stack| u64::from(stack) + 1));
            out.whats.push(what_of(what));
            out.reasons.push(match what {
                What::Park(reason) | What::StwBegin(reason) => self.optional(reason.as_ref()),
                _ => 0,
            });
        }
        out
    }
}

fn what_of(what: &What) -> u32 {
    match what {
        What::Sample => what::SAMPLE,
        What::Out(false) => what::OUT,
        What::Out(true) => what::OUT_PREEMPTED,
        What::In => what::IN,
        What::Runnable => what::RUNNABLE,
        What::NetworkReady => what::NETWORK_READY,
        What::Yield => what::YIELD,
        What::Run => what::RUN,
        What::Park(_) => what::PARK,
        What::Dead => what::DEAD,
        What::StwBegin(_) => what::STW_BEGIN,
        What::StwEnd => what::STW_END,
        What::GcBegin => what::GC_BEGIN,
        What::GcEnd => what::GC_END,
        What::AssistBegin => what::ASSIST_BEGIN,
        What::Gap => what::GAP,
    }
}

fn waits_of<'a>(all: impl IntoIterator<Item = &'a Waits>) -> proto::Waits {
    let mut out = proto::Waits::default();
    for Waits { count, p50, p90, p99, max, source } in all {
        out.counts.push(*count);
        for bound in [p50, p90, p99, max] {
            out.lows.push(bound.low_ns);
            out.highs.push(bound.high_ns.unwrap_or(0));
            out.has_highs.push(bound.high_ns.is_some());
        }
        out.sources.push(code(&Waits::SOURCES, source));
    }
    out
}

fn counters_of(counters: &Counters) -> proto::Counters {
    let Counters { gomaxprocs, time_slices, syscalls, created, gc_cycles, gc_pauses, ps, idle_ps, spinning_ms, global_queue, throttled } =
        counters;
    proto::Counters {
        gomaxprocs: *gomaxprocs,
        time_slices: *time_slices,
        syscalls: *syscalls,
        created: *created,
        gc_cycles: *gc_cycles,
        pause_ends: gc_pauses.iter().map(|pause| pause.end_unix_ns).collect(),
        pauses: gc_pauses.iter().map(|pause| pause.pause_ns).collect(),
        p_ids: ps.iter().map(|p| p.id).collect(),
        p_time_slices: ps.iter().map(|p| p.time_slices).collect(),
        p_syscalls: ps.iter().map(|p| p.syscalls).collect(),
        p_queue_means: ps.iter().map(|p| p.queue_mean).collect(),
        p_queue_maxima: ps.iter().map(|p| p.queue_max).collect(),
        idle_ps: *idle_ps,
        spinning_ms: *spinning_ms,
        global_queue: *global_queue,
        throttled: throttled.map(|throttled| proto::Throttled {
            periods: throttled.periods,
            throttled_periods: throttled.throttled_periods,
            throttled_ns: throttled.throttled_ns,
        }),
    }
}

fn difference(value: u64, before: u64) -> i64 {
    value.wrapping_sub(before).cast_signed()
}

/// Whole seconds, and the nanoseconds after them.
fn since_1970(time: SystemTime) -> (i64, u32) {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (after.as_secs().cast_signed(), after.subsec_nanos()),
        // A clock that was never set.
        Err(_) => (0, 0),
    }
}
