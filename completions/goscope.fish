# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_goscope_global_optspecs
    string join \n o/output= color= q/quiet v/verbose h/help V/version
end

function __fish_goscope_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_goscope_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_goscope_using_subcommand
    set -l cmd (__fish_goscope_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c goscope -n "__fish_goscope_needs_command" -s o -l output -d 'Write the result to FILE instead of stdout; FILE appears only when it is complete' -r -F
complete -c goscope -n "__fish_goscope_needs_command" -l color -d 'When to use colour; `auto` asks the terminal, NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c goscope -n "__fish_goscope_needs_command" -s q -l quiet -d 'No hints, warnings or progress on stderr'
complete -c goscope -n "__fish_goscope_needs_command" -s v -l verbose -d 'Say on stderr what is done and how long it takes'
complete -c goscope -n "__fish_goscope_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goscope -n "__fish_goscope_needs_command" -s V -l version -d 'Print version'
complete -c goscope -n "__fish_goscope_needs_command" -f -a "ps" -d 'List the Go processes that run here'
complete -c goscope -n "__fish_goscope_needs_command" -f -a "info" -d 'Show what a Go process or binary is made of, and what goscope can do with it'
complete -c goscope -n "__fish_goscope_needs_command" -f -a "goroutines" -d 'Show what every goroutine does: where, since when, started by whom'
complete -c goscope -n "__fish_goscope_needs_command" -f -a "sched" -d 'Show who runs, who waits for a P or a CPU, who blocks on what, and for how long'
complete -c goscope -n "__fish_goscope_needs_command" -f -a "profile" -d 'Show where CPU, off-CPU or wall-clock time goes, by function'
complete -c goscope -n "__fish_goscope_needs_command" -f -a "report" -d 'Print again what `sched` or `profile` recorded, in any format'
complete -c goscope -n "__fish_goscope_needs_command" -f -a "cardinality" -d 'Profile what explodes a /metrics endpoint'
complete -c goscope -n "__fish_goscope_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c goscope -n "__fish_goscope_needs_command" -f -a "man" -d 'Print a manual page'
complete -c goscope -n "__fish_goscope_using_subcommand ps" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'One document'
jsonl\t'One object a line'"
complete -c goscope -n "__fish_goscope_using_subcommand ps" -l sort -d 'Order of the list' -r -f -a "pid\t''
name\t'By name of the executable'
user\t''
go\t'Oldest Go version first'
age\t'Oldest process first'
rss\t'Most memory first'
threads\t'Most threads first'"
complete -c goscope -n "__fish_goscope_using_subcommand ps" -s o -l output -d 'Write the result to FILE instead of stdout; FILE appears only when it is complete' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand ps" -l color -d 'When to use colour; `auto` asks the terminal, NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c goscope -n "__fish_goscope_using_subcommand ps" -s q -l quiet -d 'No hints, warnings or progress on stderr'
complete -c goscope -n "__fish_goscope_using_subcommand ps" -s v -l verbose -d 'Say on stderr what is done and how long it takes'
complete -c goscope -n "__fish_goscope_using_subcommand ps" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goscope -n "__fish_goscope_using_subcommand info" -l wait -d 'Wait for the target to appear; with a duration, no longer than that' -r
complete -c goscope -n "__fish_goscope_using_subcommand info" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'One document'
jsonl\t'One object a line'"
complete -c goscope -n "__fish_goscope_using_subcommand info" -s o -l output -d 'Write the result to FILE instead of stdout; FILE appears only when it is complete' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand info" -l color -d 'When to use colour; `auto` asks the terminal, NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c goscope -n "__fish_goscope_using_subcommand info" -l probe-http -d 'GET /debug/pprof/ and /metrics on each TCP socket it listens on (200 ms and 4 KiB at most for each)'
complete -c goscope -n "__fish_goscope_using_subcommand info" -s q -l quiet -d 'No hints, warnings or progress on stderr'
complete -c goscope -n "__fish_goscope_using_subcommand info" -s v -l verbose -d 'Say on stderr what is done and how long it takes'
complete -c goscope -n "__fish_goscope_using_subcommand info" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l wait -d 'Wait for the target to appear; with a duration, no longer than that' -r
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'One document'
jsonl\t'One object a line'
text\t'As the runtime\'s own traceback'
folded\t'Stacks with counts, for flame graph tools'
pprof\t'For `go tool pprof`'
svg\t'Flame graph'"
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l pause -d 'Stop the threads that run Go code while goroutines are copied, for one consistent view; `all` also those inside C' -r -f -a "go\t'Threads that run Go code'
all\t'Threads inside C too; a blocked C call may return EINTR'"
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l max-pause -d 'Longest pause; what is not read by then is read unpaused and marked' -r
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l status -d 'Only goroutines of these statuses; without it, all but dead ones' -r -f -a "idle\t''
runnable\t''
running\t''
syscall\t''
waiting\t''
dead\t''
copystack\t''
preempted\t''
leaked\t''"
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l wait-reason -d 'Only goroutines whose wait reason holds this text (`chan` finds `chan receive` and `chan send`); `=TEXT` is exact' -r
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l func -d 'Only goroutines with a function on their stack that matches' -r
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l label -d 'Only goroutines with this pprof label; repeat it for more, all of which must match' -r
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l min-wait -d 'Only goroutines blocked at least this long; the runtime stamps a blocked goroutine at the next GC' -r
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l goid -d 'Only these goroutine ids' -r
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l group -d 'Put goroutines together: none, stack, status, func, created-by, label=KEY' -r
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l sort -d 'Order of groups or goroutines' -r -f -a "count\t'Most goroutines first'
wait\t'Longest blocked first'
id\t'By goroutine id'
func\t'By function'
status\t'By status'"
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l limit -d 'Show at most N groups or goroutines' -r
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l depth -d 'Show at most N frames of a stack, in a table or text' -r
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l watch -d 'Take a snapshot every DURATION and show what is new, gone, grown and stuck' -r
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l count -d 'End after N snapshots' -r
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l fail-on-growth -d 'Exit 1 when any creation site has more than N more live user goroutines at the end than at the start' -r
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -s o -l output -d 'Write the result to FILE instead of stdout; FILE appears only when it is complete' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l color -d 'When to use colour; `auto` asks the terminal, NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l no-stop -d 'Never stop a thread, not even for microseconds; running goroutines are then marked not read'
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l swap-in -d 'Also read stacks that are swapped out; this faults pages into the target'
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l user -d 'Only goroutines that the program started'
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l system -d 'Only goroutines that the runtime started for itself'
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -l runtime-frames -d 'Show the runtime\'s own frames too'
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -s q -l quiet -d 'No hints, warnings or progress on stderr'
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -s v -l verbose -d 'Say on stderr what is done and how long it takes'
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and not __fish_seen_subcommand_from diff" -a "diff" -d 'Compare two snapshots saved with --format json'
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and __fish_seen_subcommand_from diff" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'One document'
jsonl\t'One object a line'"
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and __fish_seen_subcommand_from diff" -l limit -d 'Show at most N creation sites and N stacks' -r
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and __fish_seen_subcommand_from diff" -l fail-on-growth -d 'Exit 1 when any creation site has more than N more live user goroutines after than before' -r
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and __fish_seen_subcommand_from diff" -s o -l output -d 'Write the result to FILE instead of stdout; FILE appears only when it is complete' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and __fish_seen_subcommand_from diff" -l color -d 'When to use colour; `auto` asks the terminal, NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and __fish_seen_subcommand_from diff" -l runtime-frames -d 'Show the runtime\'s own frames too'
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and __fish_seen_subcommand_from diff" -s q -l quiet -d 'No hints, warnings or progress on stderr'
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and __fish_seen_subcommand_from diff" -s v -l verbose -d 'Say on stderr what is done and how long it takes'
complete -c goscope -n "__fish_goscope_using_subcommand goroutines; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -l wait -d 'Wait for the target to appear; with a duration, no longer than that' -r
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'One document'
jsonl\t'One object a line'
folded\t'Stacks with microseconds, for flame graph tools'
pprof\t'For `go tool pprof`'
svg\t'Flame graph'
speedscope\t'For speedscope.app'
perfetto\t'For ui.perfetto.dev: CPUs, threads, Ps and goroutines over time'
trace\t'For `go tool trace`: each transition (tier 3)'"
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -l duration -d 'How long to look' -r
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -l tier -d 'How closely: 0 the runtime\'s counters, 1 also the kernel\'s switches and clock, 2 also the runtime\'s rare events, 3 also each transition of a goroutine' -r
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -l max-overhead -d 'Without --tier: the most that looking may cost the target, in percent of one CPU; `off` for no limit' -r
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -l hz -d 'Samples a second of each CPU' -r
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -l max-loss -d 'Exit 1 when more than this share of events was lost' -r
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -l record -d 'Also keep all that was seen, and when, in FILE: `goscope report` prints it again in every format, `goscope sched diff` compares' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -l when -d 'Wait, looking at the runtime\'s counters alone, until METRIC is above or below VALUE; then look for --duration, in tier 3 unless --tier says otherwise. The minute before is kept. METRIC: runnable_p50, runnable_p99, runnable_max, run_queue, idle_ps, time_slices (goroutines given a new one, a second), created, gc_pause, throttled' -r
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -l limit -d 'Show at most N stacks of each kind in a table' -r
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -s o -l output -d 'Write the result to FILE instead of stdout; FILE appears only when it is complete' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -l color -d 'When to use colour; `auto` asks the terminal, NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -l plan -d 'Only say what looking would cost, in each tier, and look at nothing'
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -l watch -d 'Look again and again for --duration, until Ctrl-C; on a terminal each table takes the place of the last'
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -s q -l quiet -d 'No hints, warnings or progress on stderr'
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -s v -l verbose -d 'Say on stderr what is done and how long it takes'
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goscope -n "__fish_goscope_using_subcommand sched; and not __fish_seen_subcommand_from diff" -a "diff" -d 'Compare two windows saved with --record'
complete -c goscope -n "__fish_goscope_using_subcommand sched; and __fish_seen_subcommand_from diff" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'One document'
jsonl\t'One object a line'"
complete -c goscope -n "__fish_goscope_using_subcommand sched; and __fish_seen_subcommand_from diff" -l limit -d 'Show at most N reasons, N stacks that grew and N that shrank in a table' -r
complete -c goscope -n "__fish_goscope_using_subcommand sched; and __fish_seen_subcommand_from diff" -l fail-on -d 'Exit 1 when the share of a state (on-cpu, runnable, no-cpu, syscall, gc-assist: of the time not waiting; waiting: of all time) grew by more than POINTS percentage points, beyond noise; repeat it for more states' -r
complete -c goscope -n "__fish_goscope_using_subcommand sched; and __fish_seen_subcommand_from diff" -s o -l output -d 'Write the result to FILE instead of stdout; FILE appears only when it is complete' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand sched; and __fish_seen_subcommand_from diff" -l color -d 'When to use colour; `auto` asks the terminal, NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c goscope -n "__fish_goscope_using_subcommand sched; and __fish_seen_subcommand_from diff" -s q -l quiet -d 'No hints, warnings or progress on stderr'
complete -c goscope -n "__fish_goscope_using_subcommand sched; and __fish_seen_subcommand_from diff" -s v -l verbose -d 'Say on stderr what is done and how long it takes'
complete -c goscope -n "__fish_goscope_using_subcommand sched; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goscope -n "__fish_goscope_using_subcommand profile" -l wait -d 'Wait for the target to appear; with a duration, no longer than that' -r
complete -c goscope -n "__fish_goscope_using_subcommand profile" -l mode -d 'Which time' -r -f -a "cpu\t'On a CPU'
off-cpu\t'Blocked in the kernel, or waiting for a CPU'
wall\t'All time of all goroutines'
goroutine\t'Goroutines by where they wait'"
complete -c goscope -n "__fish_goscope_using_subcommand profile" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'One document'
jsonl\t'One object a line'
folded\t'Stacks with microseconds, for flame graph tools'
pprof\t'For `go tool pprof`'
svg\t'Flame graph'
speedscope\t'For speedscope.app'
perfetto\t'For ui.perfetto.dev: CPUs, threads, Ps and goroutines over time'
trace\t'For `go tool trace`: each transition (tier 3)'"
complete -c goscope -n "__fish_goscope_using_subcommand profile" -l duration -d 'How long to look' -r
complete -c goscope -n "__fish_goscope_using_subcommand profile" -l tier -d 'How closely: 0 the runtime\'s counters, 1 also the kernel\'s switches and clock, 2 also the runtime\'s rare events, 3 also each transition of a goroutine' -r
complete -c goscope -n "__fish_goscope_using_subcommand profile" -l max-overhead -d 'Without --tier: the most that looking may cost the target, in percent of one CPU; `off` for no limit' -r
complete -c goscope -n "__fish_goscope_using_subcommand profile" -l hz -d 'Samples a second of each CPU' -r
complete -c goscope -n "__fish_goscope_using_subcommand profile" -l max-loss -d 'Exit 1 when more than this share of events was lost' -r
complete -c goscope -n "__fish_goscope_using_subcommand profile" -l record -d 'Also keep all that was seen, and when, in FILE: `goscope report` prints it again in every format, `goscope sched diff` compares' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand profile" -l limit -d 'Show at most N functions in a table' -r
complete -c goscope -n "__fish_goscope_using_subcommand profile" -l by -d 'Put a table\'s rows together by function, kind (the goroutine\'s first function), creator, or label=KEY' -r
complete -c goscope -n "__fish_goscope_using_subcommand profile" -s o -l output -d 'Write the result to FILE instead of stdout; FILE appears only when it is complete' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand profile" -l color -d 'When to use colour; `auto` asks the terminal, NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c goscope -n "__fish_goscope_using_subcommand profile" -l hide-runtime -d 'Leave out frames of the runtime (package runtime, those below it, and functions such as sync.runtime_Semacquire that are linked into it), and stacks that have no others than these and the kernel\'s'
complete -c goscope -n "__fish_goscope_using_subcommand profile" -s q -l quiet -d 'No hints, warnings or progress on stderr'
complete -c goscope -n "__fish_goscope_using_subcommand profile" -s v -l verbose -d 'Say on stderr what is done and how long it takes'
complete -c goscope -n "__fish_goscope_using_subcommand profile" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goscope -n "__fish_goscope_using_subcommand report" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'One document'
jsonl\t'One object a line'
folded\t'Stacks with microseconds, for flame graph tools'
pprof\t'For `go tool pprof`'
svg\t'Flame graph'
speedscope\t'For speedscope.app'
perfetto\t'For ui.perfetto.dev: CPUs, threads, Ps and goroutines over time'
trace\t'For `go tool trace`: each transition (tier 3)'"
complete -c goscope -n "__fish_goscope_using_subcommand report" -l mode -d 'As `goscope profile`, of this time; without it, as `goscope sched`' -r -f -a "cpu\t'On a CPU'
off-cpu\t'Blocked in the kernel, or waiting for a CPU'
wall\t'All time of all goroutines'
goroutine\t'Goroutines by where they wait'"
complete -c goscope -n "__fish_goscope_using_subcommand report" -l limit -d 'Show at most N stacks of each kind, or N functions, in a table' -r
complete -c goscope -n "__fish_goscope_using_subcommand report" -l by -d 'With --mode: put a table\'s rows together by function, kind, creator, or label=KEY' -r
complete -c goscope -n "__fish_goscope_using_subcommand report" -s o -l output -d 'Write the result to FILE instead of stdout; FILE appears only when it is complete' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand report" -l color -d 'When to use colour; `auto` asks the terminal, NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c goscope -n "__fish_goscope_using_subcommand report" -l hide-runtime -d 'With --mode: leave out frames of the runtime (package runtime, those below it, and functions such as sync.runtime_Semacquire that are linked into it), and stacks that have no others than these and the kernel\'s'
complete -c goscope -n "__fish_goscope_using_subcommand report" -s q -l quiet -d 'No hints, warnings or progress on stderr'
complete -c goscope -n "__fish_goscope_using_subcommand report" -s v -l verbose -d 'Say on stderr what is done and how long it takes'
complete -c goscope -n "__fish_goscope_using_subcommand report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l wait -d 'Wait for the target to appear; with a duration, no longer than that' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'One document'
jsonl\t'One object a line'
pprof\t'Series by metric, label and value, for `go tool pprof`'
folded\t'The same as text, one stack a line'
svg\t'The same as a flame graph'"
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l parser -d 'Whose rules decide what is an error' -r -f -a "prometheus\t'What the Prometheus server takes and refuses'
strict\t'What the specification of OpenMetrics demands'"
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l limit -d 'Show at most N metrics' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l detail -d 'Show the labels of the N biggest metrics' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l top -d 'Show at most N values of each label' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l show -d 'Add sections to the result; documents have all of them unless some are named' -r -f -a "buckets\t'What the buckets of histograms cost, and how few would do'
exemplars\t'What exemplars cost, and what is left when only the busiest children have some'
lint\t'What is wrong with names, help texts and units'"
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l interval -d 'Scrape again after this time, and tell what grew; Ctrl-C ends it with what was seen' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l count -d 'How many scrapes' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l budget -d 'With --suggest: how many series there should be at most' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l bucket-error -d 'How far p50, p90 and p99 may be off when buckets are left out' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l keep-bucket -d 'A bucket that has to stay, as that of a service level objective (repeatable)' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l exemplar-series -d 'With --show exemplars: at most so many series with exemplars' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l simulate -d 'Run the relabel rules of FILE over the scrape, and tell what is dropped, merged and broken' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l job -d 'The rules of this job of the file, where it has several' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l max-series -d 'There are more than N series' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l max-series-per-metric -d 'A metric has more than N series' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l max-label-values -d 'A label has more than N values in one metric' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l budget-file -d 'A limit in FILE is passed: YAML with total_series, default and metrics (series, label_values, labels), and waivers that end' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l baseline -d 'A metric has grown since FILE was saved' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l max-growth -d 'Growth that the baseline allows, in percent; fewer than ten new series of a metric never count' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l save-baseline -d 'Save counts and hashes of this scrape to FILE, for --baseline; no label value is in there' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l port -d 'Port of a process that serves its metrics, instead of a search' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l path -d 'Path of the metrics, for a process and for a URL without one' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l accept -d 'Formats to ask a server for' -r -f -a "prometheus\t'All text formats, as a Prometheus server does by default'
native-histograms\t'As one that scrapes native histograms: protobuf first'
text\t''
openmetrics\t''
openmetrics2\t''
protobuf\t''"
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l compression -d 'Encoding to ask a server for' -r -f -a "gzip\t''
identity\t''
zstd\t''"
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l timeout -d 'Time for one scrape, as a whole' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l body-limit -d 'Refuse a body that has SIZE or more when decompressed; uncompressed files have no limit' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l header -d 'Send a header, \'Name: value\'; \'@FILE\' takes all lines of FILE (repeatable)' -r
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l bearer-token-file -d 'Send \'Authorization: Bearer\' with the token in FILE, or in the environment variable GOSCOPE_BEARER_TOKEN' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l basic-auth-file -d 'Send \'Authorization: Basic\' with the \'user:password\' in FILE, or in the environment variable GOSCOPE_BASIC_AUTH' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l ca -d 'Trust the certificates in FILE (PEM), and not those of the system' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l cert -d 'Client certificate (PEM)' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l key -d 'Key of the client certificate (PEM), where it isn\'t in the same file' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -s o -l output -d 'Write the result to FILE instead of stdout; FILE appears only when it is complete' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l color -d 'When to use colour; `auto` asks the terminal, NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l tui -d 'Walk through the result in the terminal: metrics, labels, values'
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l lenient -d 'Exit with 0 although the body has errors'
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l successive -d 'The sources are saved scrapes of one endpoint, oldest first'
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l suggest -d 'Print a plan: what to change, what each change saves and costs, and the relabel rules for it'
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -l insecure -d 'Trust any certificate'
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -s q -l quiet -d 'No hints, warnings or progress on stderr'
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -s v -l verbose -d 'Say on stderr what is done and how long it takes'
complete -c goscope -n "__fish_goscope_using_subcommand cardinality" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c goscope -n "__fish_goscope_using_subcommand completions" -s o -l output -d 'Write the result to FILE instead of stdout; FILE appears only when it is complete' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand completions" -l color -d 'When to use colour; `auto` asks the terminal, NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c goscope -n "__fish_goscope_using_subcommand completions" -s q -l quiet -d 'No hints, warnings or progress on stderr'
complete -c goscope -n "__fish_goscope_using_subcommand completions" -s v -l verbose -d 'Say on stderr what is done and how long it takes'
complete -c goscope -n "__fish_goscope_using_subcommand completions" -s h -l help -d 'Print help'
complete -c goscope -n "__fish_goscope_using_subcommand man" -l dir -d 'Write every page into DIR' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand man" -s o -l output -d 'Write the result to FILE instead of stdout; FILE appears only when it is complete' -r -F
complete -c goscope -n "__fish_goscope_using_subcommand man" -l color -d 'When to use colour; `auto` asks the terminal, NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c goscope -n "__fish_goscope_using_subcommand man" -s q -l quiet -d 'No hints, warnings or progress on stderr'
complete -c goscope -n "__fish_goscope_using_subcommand man" -s v -l verbose -d 'Say on stderr what is done and how long it takes'
complete -c goscope -n "__fish_goscope_using_subcommand man" -s h -l help -d 'Print help'
