//! Names of the reasons for which goroutines block, as viewers group by them.

/// The name in traces (runtime/traceruntime.go: traceBlockReasonStrings) of a wait reason (runtime/runtime2.go: waitReasonStrings), by
/// the pairs in calls of `gopark`. A wait reason that no call pairs with a name is returned as it is.
pub fn block_reason(wait_reason: &str) -> &str {
    match wait_reason {
        "" => "unspecified",
        "chan receive (nil chan)" | "chan send (nil chan)" | "select (no cases)" | "panicwait" => "forever",
        "IO wait" => "network",
        "select" | "select (synctest)" | "select (durable)" => "select",
        "sync.Cond.Wait" => "sync.(*Cond).Wait",
        "semacquire"
        | "sync.Mutex.Lock"
        | "sync.RWMutex.RLock"
        | "sync.RWMutex.Lock"
        | "sync.WaitGroup.Wait"
        | "sync.WaitGroup.Wait (durable)" => "sync",
        "chan send" | "chan send (synctest)" | "chan send (durable)" => "chan send",
        "chan receive" | "chan receive (synctest)" | "chan receive (durable)" => "chan receive",
        "GC assist wait" => "GC mark assist wait for work",
        "GC sweep wait" => "GC background sweeper wait",
        "finalizer wait"
        | "cleanup wait"
        | "GC worker (idle)"
        | "GC scavenge wait"
        | "force gc (idle)"
        | "GOMAXPROCS updater (idle)"
        | "trace reader (blocked)" => "system goroutine wait",
        "debug call" => "wait for debug call",
        "wait for GC cycle" => "wait until GC ends",
        "synctest.Run" | "synctest.Wait" => "synctest",
        other => other,
    }
}
