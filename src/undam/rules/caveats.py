"""Doubt about the measurement itself."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD901",
        slug="client-late",
        severity=Severity.WARNING,
        message=(
            "this machine read {late_ms} ms late (p99): gaps shorter "
            "than that are not to be trusted"
        ),
        what="""
            Bytes had arrived, and this program took them from the kernel more than 10 ms later.
        """,
        why="""
            Arrival times stay right (the kernel stamps them), but several segments that wait
            together carry only the last one's stamp, so short gaps are lost and bursts may be of
            our making. Tools that do not look at this report it as the server's latency.
        """,
        detection="""
            The clock at the read minus the kernel's stamp, p99 over all reads. Where the lateness
            could explain the bursts the verdict is `unknown`.
        """,
        measured="""
            1000 streams on one core: load tools with clocks of their own reported a TTFT p99 from
            13 ms (a Rust client) to 2.2 s too high; with kernel stamps the error was 0.004 ms.
        """,
        fix="""
            Nothing at the service. Free this machine, or ask less of it; only the check changes.
                undam check URL --streams 1
                nice -n -5 undam check URL        (as root)
            Or run it from another host than the one that serves the model.
        """,
    ),
    Rule(
        code="UD902",
        slug="coalesced-reads",
        severity=Severity.INFO,
        message=(
            "{reads} reads brought several events that had waited here for up to {late_ms} ms: "
            "their gaps are bounds"
        ),
        what="""
            Several events came in one read, after they had waited here longer than the gap between
            events. Linux gives the read the stamp of its last segment, so the earlier ones are
            known only to lie between the read before and this one.
        """,
        why="""
            The gaps inside such a read would be reported as zero, and a percentile of zeros says
            that the stream came in bursts. vLLM's and aiperf's benchmarks report an ITL p50 of 0.00
            ms at 1000 streams whose true gap is 20 ms.
        """,
        detection="""
            Events per read, together with the time that the read had waited. Events that came
            together without waiting here were sent together; that is a finding about a hop.
        """,
        measured="On Linux, also when the waiting segments are read one token at a time.",
        fix="""
            Nothing at the service; only the measurement changes. Fewer streams at once, or a
            machine that has time:
                undam check URL --streams 1
            The count says how much it matters: a few reads in a thousand change no percentile below
            p99.
        """,
    ),
    Rule(
        code="UD903",
        slug="clock-stepped",
        severity=Severity.WARNING,
        message="the wall clock moved by {step_ms} ms during the measurement",
        what="""
            CLOCK_REALTIME, in which the kernel stamps arrivals, moved by over 20 ms against the
            monotonic clock while a stream was read.
        """,
        why="""
            One gap of that stream, and every time that spans it, is wrong by the step: a stall that
            did not happen, or one that is hidden. Holds by beacon on another host are off by it
            from then on.
        """,
        detection="""
            Both clocks are compared over each exchange. NTP's ordinary slewing (0.5 ms a second at
            most) stays far below the limit.
        """,
        causes="""
            A time service that steps (ntpdate, the first synchronisation after boot), a virtual
            machine that was suspended or moved, a hand at `date`.
        """,
        fix="""
            Nothing at the service. Run the check again; if it comes back, let the clock slew:
                chronyc tracking
                makestep 1 3                    (chrony.conf: step only in the first three updates)
            That changes the host's time keeping, so it is the administrator's to decide.
        """,
    ),
    Rule(
        code="UD904",
        slug="user-space-clock",
        severity=Severity.INFO,
        message=(
            "no kernel receive stamps here: times are those of the read, "
            "and include this program's own lateness"
        ),
        what="""
            At least one stream was stamped by this program's clock after the read, and not by the
            kernel when the packet arrived.
        """,
        why="""
            Times include the wait for the processor, and the check cannot say how long that was:
            UD901 and UD902 are blind.
        """,
        detection="The kernel's stamp (SO_TIMESTAMPNS) was missing on a read.",
        causes="""
            A system that is not Linux; a sandbox or a user-space network stack that does not
            implement the option; packets that were in flight before the first stamping socket was
            open.
        """,
        measured="""
            The same client against the same truth: TTFT p99 off by 0.05 to 0.20 ms with its own
            clock, and by 0.003 to 0.05 ms with kernel stamps, from 1 to 1000 streams.
        """,
        fix="""
            Run the check on Linux, outside the sandbox, if fractions of a millisecond matter;
            verdicts about holds of 12 ms and more stand on either clock. Nothing at the service
            changes.
                uname -s
                undam check URL
        """,
    ),
    Rule(
        code="UD905",
        slug="undecided",
        severity=Severity.INFO,
        message="{reason}",
        what="""
            The evidence does not suffice for a verdict, and the message says what is missing.
        """,
        why="""
            It does not; a wrong accusation would. A held stream can hide here: nginx holds an
            answer under 4 KB to its end, and if that answer is quick, nothing shows it.
        """,
        detection="""
            Fewer than eight content events; a whole answer sooner than a model could have generated
            it (50 ms, or 0.5 ms an event); one burst followed by silence; a few events at an even
            80 ms or slower, which a timer and a speculative decoder share; bursts that segments and
            windows of TCP, a jittery path or a model's pauses make; only two bursts; this machine
            was too late; with --beacon, no event carried a due time, or the clocks disagree.
        """,
        fix="""
            Nothing at the service; ask in a way that can be judged. A longer answer:
                undam check URL --prompt 'Count from 1 to 300.'
            A comparison with a place further in, outermost first:
                undam check URL --hop model=http://MODEL/v1/chat/completions
            Or exactly, with due times in every event, and a far end whose schedule is known:
                undam sim --port 9000           in the model's place
                undam check URL --beacon
        """,
    ),
    Rule(
        code="UD906",
        slug="clock-offset",
        severity=Severity.INFO,
        message=(
            "the far end's clock is {offset_ms} ms off ours, known within {uncertainty_ms} ms; "
            "holds are no more exact than that"
        ),
        what="The beacon runs on another host, and its due times are in that host's clock.",
        why="""
            A hold is a difference between two clocks. The offset is estimated and taken off; what
            remains is the uncertainty, and a hold shorter than that cannot be told from none.
        """,
        detection="""
            The check asks the beacon for its time. Four stamps give the offset, and half the round
            trip is how far it can be wrong (RFC 5905, 8); it is told where that is over 2 ms. A
            path whose two ways differ, or a hop that holds the small answer, shifts the offset
            within it. On one host both read the same clock and the offset is zero. Verdicts take it
            into account: an event counts as held from 12 ms plus the uncertainty and half the path
            on.
        """,
        fix="""
            Nothing at the service. A beacon closer to the check, or on the same host, or both hosts
            kept by one time server:
                chronyc tracking                on both; "System time" should be under a millisecond
            Figures that need no clock of another host (TTFT, gaps, verdicts by pattern or --hop)
            are exact as they stand.
        """,
    ),
    Rule(
        code="UD907",
        slug="client-too-slow",
        severity=Severity.WARNING,
        message=(
            "this client was late: {figure} lies between {low_ms} and {high_ms} ms "
            "(shown: {shown_ms} ms); {gaps} gaps are uncertain"
        ),
        what="""
            This load generator could not read fast enough, and a figure of its report could be off
            by more than 1 % for that.
        """,
        why="""
            Events that waited here together cannot be told apart any more, so the figure says as
            much about this machine as about the server.
        """,
        detection="""
            A read with several events bears the kernel's stamp of the last one. Where they may have
            come one by one, their gaps are counted as uncertain, and every percentile is computed
            twice more, with these gaps as short and as long as they can have been. The finding
            names the figure that moves most, by over 1 % and 0.1 ms. Only p99.9: it is but a
            remark.
        """,
        measured="""
            At 1000 streams other load generators err by 100 to 850 ms in the TTFT, and none says
            that it was late.
        """,
        fix="""
            Nothing at the service. Give this program more processors, or ask it for less:
                undam bench URL --workers 4
                taskset -c 2,3 undam bench URL            on processors that nothing else uses
            A worker reads some 80 000 events a second; more workers than processors do not help.
        """,
    ),
    Rule(
        code="UD908",
        slug="sent-late",
        severity=Severity.WARNING,
        message=(
            "requests left late: {delay_ms} ms after they were due at p99; without that "
            "TTFT {percentile} would be {from_sent_ms} ms (shown: {shown_ms} ms)"
        ),
        what="""
            requests left later than the plan of the load said, and a TTFT percentile is more than 1
            % and 2 ms larger for it.
        """,
        why="""
            TTFT counts from when a request was due, as a user's clock would, so that an overloaded
            client cannot hide what it did not send. But then the wait here is in it.
        """,
        detection="""
            The time from when each request was due to when its last byte was handed to the kernel.
            This program being late is in it, and so is opening a connection, where none was free:
            with a far-away TLS server the latter is the larger part, and users wait for it, too.
        """,
        fix="""
            Nothing at the service. More processes, or less load:
                undam bench URL --workers 4
            If the delay stays the same with more workers, it is the connecting: look at the network
            path and at the server's accept queue.
        """,
    ),
    Rule(
        code="UD909",
        slug="client-starved",
        severity=Severity.WARNING,
        message=(
            "this client waited for a processor {waited_percent} % of the time that it wanted one"
        ),
        what="""
            Other programs, or too many workers, took the processors that this client needed.
        """,
        why="""
            It reads and sends late. The kernel's stamps keep the figures right as long as each
            event is read alone; beyond that they get uncertain (UD907), and a closed loop asks more
            slowly than it could, so the server seems slower than it is.
        """,
        detection="""
            The system's own account of each worker: how long it was ready to run and was not
            running (/proc/self/schedstat), against how long it ran; from 20 % on.
        """,
        causes="""
            The server on the same machine, a build, a container's processor limit, more workers
            than processors.
        """,
        fix="""
            Nothing at the service. Leave processors to this program alone:
                taskset -c 2,3 undam bench URL --workers 2
            or run it on another machine than the server.
        """,
    ),
)
