//! Texts of the runtime's wait reasons by Go version, for binaries whose own table can't be found (`runtime/runtime2.go`: waitReasonStrings).

use super::layout::GoVersion;

/// By the first version that has the list: texts in order of their number, parted by `|`.
const LISTS: &[(GoVersion, &str)] = &[
    (
        GoVersion::new(18, 0),
        "\
         |GC assist marking|IO wait|chan receive (nil chan)|chan send (nil chan)|dumping heap|garbage \
         collection|garbage collection scan|panicwait|select|select (no cases)|GC assist wait|GC sweep wait|GC scavenge\
         \x20wait|chan receive|chan send|finalizer wait|force gc (idle)|semacquire|sleep|sync.Cond.Wait|timer goroutine \
         (idle)|trace reader (blocked)|wait for GC cycle|GC worker (idle)|preempted|debug call",
    ),
    (
        GoVersion::new(20, 0),
        "\
         |GC assist marking|IO wait|chan receive (nil chan)|chan send (nil chan)|dumping heap|garbage \
         collection|garbage collection scan|panicwait|select|select (no cases)|GC assist wait|GC sweep wait|GC scavenge\
         \x20wait|chan receive|chan send|finalizer wait|force gc \
         (idle)|semacquire|sleep|sync.Cond.Wait|sync.Mutex.Lock|sync.RWMutex.RLock|sync.RWMutex.Lock|trace reader \
         (blocked)|wait for GC cycle|GC worker (idle)|GC worker (active)|preempted|debug call|GC mark \
         termination|stopping the world",
    ),
    (
        GoVersion::new(22, 0),
        "\
         |GC assist marking|IO wait|chan receive (nil chan)|chan send (nil chan)|dumping heap|garbage \
         collection|garbage collection scan|panicwait|select|select (no cases)|GC assist wait|GC sweep wait|GC scavenge\
         \x20wait|chan receive|chan send|finalizer wait|force gc \
         (idle)|semacquire|sleep|sync.Cond.Wait|sync.Mutex.Lock|sync.RWMutex.RLock|sync.RWMutex.Lock|trace reader \
         (blocked)|wait for GC cycle|GC worker (idle)|GC worker (active)|preempted|debug call|GC mark \
         termination|stopping the world|flushing proc caches|trace goroutine status|trace proc status|page trace \
         flush|coroutine",
    ),
    (
        GoVersion::new(23, 1),
        "\
         |GC assist marking|IO wait|chan receive (nil chan)|chan send (nil chan)|dumping heap|garbage \
         collection|garbage collection scan|panicwait|select|select (no cases)|GC assist wait|GC sweep wait|GC scavenge\
         \x20wait|chan receive|chan send|finalizer wait|force gc \
         (idle)|semacquire|sleep|sync.Cond.Wait|sync.Mutex.Lock|sync.RWMutex.RLock|sync.RWMutex.Lock|trace reader \
         (blocked)|wait for GC cycle|GC worker (idle)|GC worker (active)|preempted|debug call|GC mark \
         termination|stopping the world|flushing proc caches|trace goroutine status|trace proc status|page trace \
         flush|coroutine|GC weak to strong wait",
    ),
    (
        GoVersion::new(24, 0),
        "\
         |GC assist marking|IO wait|chan receive (nil chan)|chan send (nil chan)|dumping heap|garbage \
         collection|garbage collection scan|panicwait|select|select (no cases)|GC assist wait|GC sweep wait|GC scavenge\
         \x20wait|chan receive|chan send|finalizer wait|force gc \
         (idle)|semacquire|sleep|sync.Cond.Wait|sync.Mutex.Lock|sync.RWMutex.RLock|sync.RWMutex.Lock|sync.WaitGroup.Wait|trace\
         \x20reader (blocked)|wait for GC cycle|GC worker (idle)|GC worker (active)|preempted|debug call|GC mark \
         termination|stopping the world|flushing proc caches|trace goroutine status|trace proc status|page trace \
         flush|coroutine|GC weak to strong wait|synctest.Run|synctest.Wait|chan receive (synctest)|chan send \
         (synctest)|select (synctest)",
    ),
    (
        GoVersion::new(25, 0),
        "\
         |GC assist marking|IO wait|chan receive (nil chan)|chan send (nil chan)|dumping heap|garbage \
         collection|garbage collection scan|panicwait|select|select (no cases)|GC assist wait|GC sweep wait|GC scavenge\
         \x20wait|chan receive|chan send|finalizer wait|force gc (idle)|GOMAXPROCS updater \
         (idle)|semacquire|sleep|sync.Cond.Wait|sync.Mutex.Lock|sync.RWMutex.RLock|sync.RWMutex.Lock|sync.WaitGroup.Wait|trace\
         \x20reader (blocked)|wait for GC cycle|GC worker (idle)|GC worker (active)|preempted|debug call|GC mark \
         termination|stopping the world|flushing proc caches|trace goroutine status|trace proc status|page trace \
         flush|coroutine|GC weak to strong wait|synctest.Run|synctest.Wait|chan receive (durable)|chan send \
         (durable)|select (durable)|sync.WaitGroup.Wait (durable)|cleanup wait",
    ),
    (
        GoVersion::new(26, 0),
        "\
         |GC assist marking|IO wait|dumping heap|garbage collection|garbage collection scan|panicwait|GC assist wait|GC\
         \x20sweep wait|GC scavenge wait|finalizer wait|force gc (idle)|GOMAXPROCS updater (idle)|semacquire|sleep|chan \
         receive (nil chan)|chan send (nil chan)|select (no cases)|select|chan receive|chan \
         send|sync.Cond.Wait|sync.Mutex.Lock|sync.RWMutex.RLock|sync.RWMutex.Lock|sync.WaitGroup.Wait|trace reader \
         (blocked)|wait for GC cycle|GC worker (idle)|GC worker (active)|preempted|debug call|GC mark \
         termination|stopping the world|flushing proc caches|trace goroutine status|trace proc status|page trace \
         flush|coroutine|GC weak to strong wait|synctest.Run|synctest.Wait|chan receive (durable)|chan send \
         (durable)|select (durable)|sync.WaitGroup.Wait (durable)|cleanup wait",
    ),
];

/// All texts of a version, by number; number 0 has none.
pub fn list(version: GoVersion) -> impl Iterator<Item = &'static str> {
    let list = LISTS.iter().rev().find(|(since, _)| *since <= version);
    list.into_iter().flat_map(|(_, texts)| texts.split('|'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_its_own_numbers() {
        let text = |minor, patch, number: usize| list(GoVersion::new(minor, patch)).nth(number);
        assert_eq!(text(18, 10, 14), Some("chan receive"));
        assert_eq!(text(23, 0, 37), None);
        assert_eq!(text(23, 12, 37), Some("GC weak to strong wait"));
        assert_eq!(text(26, 11, 19), Some("chan receive"));
        assert_eq!(text(26, 11, 0), Some(""));
        assert_eq!(text(27, 4, 14), Some("sleep"));
        assert_eq!(text(27, 4, 46), Some("cleanup wait"));
        assert_eq!(text(17, 0, 1), None);
    }

    #[test]
    fn no_text_was_broken_by_a_line_end() {
        let all: Vec<&str> = LISTS.iter().flat_map(|(since, _)| list(*since)).collect();
        assert!(all.iter().all(|text| !text.contains("  ") && text.trim() == *text));
        assert!(all.contains(&"sync.WaitGroup.Wait (durable)"));
    }
}
