"""UD9xx: caveats about the measurement itself."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD901",
        slug="client-late",
        severity=Severity.INFO,
        message=("this machine read {late_ms} ms late (p99): shorter gaps are not reliable"),
        what="Bytes had arrived, and this program read them from the kernel more than 10 ms later.",
        why="""
            Arrival times stay correct, because the kernel records them. However, several segments
            that wait together have only the timestamp of the last one, so short gaps are lost, and
            bursts may be caused by this machine. Tools that do not check for late reads report the
            delay as latency of the server.
        """,
        detection="""
            The delay of a read is the time of the read minus the kernel's timestamp; the finding
            reports the p99 of all reads. If reads are late, the check sends its request again, up
            to twice, and uses the best attempt. If the delay could explain the bursts, the verdict
            is `unknown`. In a load test, the severity is warning.
        """,
        measured="""
            1000 streams on one core: load generators with their own clocks reported a TTFT p99 that
            was between 13 ms (a Rust client) and 2.2 s too high; with kernel timestamps the error
            was 0.004 ms.
        """,
        fix="""
            No change to the service is needed. Free CPU time on this machine, or measure fewer
            streams:

                undam check URL --streams 1
                nice -n -5 undam check URL        (as root)

            Alternatively, run the check on a different host from the model.
        """,
    ),
    Rule(
        code="UD902",
        slug="coalesced-reads",
        severity=Severity.INFO,
        message=(
            "{reads} reads returned several events that had waited on this machine for up to "
            "{late_ms} ms: their gaps are only known within bounds"
        ),
        what="""
            One read returned several events that had waited on this machine longer than the gap
            between events. Linux gives the read the timestamp of its last segment, so the earlier
            events arrived at some time between the previous read and this one.
        """,
        why="""
            The gaps inside a read with several events would be reported as zero, and a percentile
            of zeros looks like bursts. The benchmarks of vLLM and aiperf report an ITL p50 of 0.00
            ms at 1000 streams whose real gap is 20 ms.
        """,
        detection="""
            The number of events per read is compared with the time that the read had waited. Events
            that arrived together without waiting on this machine were sent together; a finding for
            a hop reports them.
        """,
        measured="""
            On Linux, the gaps are lost even if the waiting segments are read one token at a time.
        """,
        fix="""
            The service needs no change. Measure fewer streams at once, or use a faster machine:

                undam check URL --streams 1

            The number of reads with several events shows the effect: a few in a thousand do not
            change any percentile below p99.
        """,
    ),
    Rule(
        code="UD903",
        slug="clock-stepped",
        severity=Severity.INFO,
        message="the wall clock moved by {step_ms} ms during the measurement",
        what="""
            CLOCK_REALTIME, the clock of the kernel's arrival times, moved by over 20 ms relative to
            the monotonic clock while a stream was read.
        """,
        why="""
            One gap of the stream, and every duration that includes this gap, is wrong by the size
            of the step: a stall is reported that did not happen, or a real stall is hidden. Holds
            measured with a beacon on another host are wrong by the size of the step from then on.
        """,
        detection="""
            CLOCK_REALTIME and the monotonic clock are compared over each exchange. The gradual
            correction by NTP (0.5 ms per second at most) stays far below the limit.
        """,
        causes="""
            A time service that steps (ntpdate, the first synchronisation after boot), a virtual
            machine that was suspended or moved, or a user who ran `date`.
        """,
        fix="""
            The service needs no change. Run the check again. If the clock moves again, ask the
            administrator of the host to let it slew instead of step:

                chronyc tracking
                makestep 1 3                    (chrony.conf: step only in the first three updates)
        """,
    ),
    Rule(
        code="UD904",
        slug="user-space-clock",
        severity=Severity.INFO,
        message=(
            "no kernel timestamps are available here: times are taken at the read, "
            "and include the delay of this program"
        ),
        what="""
            At least one stream was timestamped by this program after the read, instead of by the
            kernel when the packet arrived.
        """,
        why="""
            Recorded times include the wait for the CPU, and the check cannot determine how long
            that wait was, so UD901 and UD902 are not detected.
        """,
        detection="The kernel's timestamp (SO_TIMESTAMPNS) was missing on a read.",
        measured="""
            The same client, compared with the ground truth, from 1 to 1000 streams: TTFT p99 was
            wrong by 0.05 to 0.20 ms with its own clock, and by 0.003 to 0.05 ms with kernel
            timestamps.
        """,
        causes="""
            An operating system other than Linux; a sandbox or a user-space network stack that does
            not implement SO_TIMESTAMPNS; packets that arrived before the first socket with
            timestamps was opened.
        """,
        fix="""
            If fractions of a millisecond matter, run the check on Linux, outside the sandbox.
            Verdicts about holds of 12 ms and more are reliable with either clock. The service needs
            no change.

                uname -s
                undam check URL
        """,
    ),
    Rule(
        code="UD905",
        slug="undecided",
        severity=Severity.INFO,
        message="{reason}",
        what="The evidence is not sufficient for a verdict; the message states what is missing.",
        why="""
            A missing verdict does no harm by itself, but it can hide a held stream: nginx holds a
            response below 4 KB until it ends, and in a fast response, the hold is invisible.
        """,
        detection="""
            A verdict is not possible if there were fewer than eight content events or only two
            bursts, if one burst was followed by silence, or if this machine read too late. A
            response that arrived sooner than a model could have generated it (50 ms, or 0.5 ms per
            event) does not allow a verdict. Bursts of whole events may come from a hop or from the
            steps of an engine, if no experiment decided between them. TCP segments and windows, a
            jittery path, or pauses of the model may also explain bursts. With --beacon, a verdict
            is not possible if no event had a due time, or if the clocks disagree.
        """,
        fix="""
            The service needs no change. Request a longer answer:

                undam check URL --prompt 'Count from 1 to 300.'

            Alternatively, compare with a hop closer to the model. Give several hops in order, the
            one closest to the client first:

                undam check URL --hop model=http://MODEL/v1/chat/completions

            For an exact measurement, use a server that sends the due time in every event:

                undam sim --port 9000           instead of the model
                undam check URL --beacon
        """,
    ),
    Rule(
        code="UD906",
        slug="clock-offset",
        severity=Severity.INFO,
        message=(
            "the clock of the beacon's host differs from this one by {offset_ms} ms, "
            "with an uncertainty of {uncertainty_ms} ms that limits the accuracy of the holds"
        ),
        what="The beacon runs on another host, and its due times are those of that host's clock.",
        why="""
            A hold is a difference between two clocks. The check subtracts the estimated offset
            between the clocks. The uncertainty of the estimate remains, and a hold that is shorter
            than the uncertainty cannot be detected.
        """,
        detection="""
            The check requests the time from the beacon. The offset is calculated from four
            timestamps, with an uncertainty of half the round-trip time (RFC 5905, 8). The finding
            is reported if the uncertainty is over 2 ms. An asymmetric path, or a hop that holds the
            small response, shifts the offset within the range of the uncertainty. If both programs
            run on one host, they use the same clock, and the offset is zero. Verdicts take the
            uncertainty into account: an event counts as held from 12 ms plus the uncertainty and
            half the one-way delay of the path.
        """,
        fix="""
            The service needs no change. Use a beacon closer to the check or on the same host, or
            synchronise both hosts with one time server:

                chronyc tracking                on both; "System time" should be below a millisecond

            Metrics that do not use another host's clock (TTFT, gaps, verdicts by pattern or --hop)
            are exact.
        """,
    ),
    Rule(
        code="UD907",
        slug="client-too-slow",
        severity=Severity.WARNING,
        message=(
            "this client was late: {figure} is between {low_ms} and {high_ms} ms "
            "(shown: {shown_ms} ms); {gaps} gaps are uncertain"
        ),
        what="""
            This load generator could not read fast enough, so a metric of its report may be wrong
            by more than 1 %.
        """,
        why="""
            Events that waited together on this machine can no longer be distinguished, so the
            metric depends on this machine as much as on the server.
        """,
        detection="""
            A read with several events has the kernel's timestamp of the last one. If the events of
            one read may have arrived one by one, their gaps count as uncertain, and every
            percentile is computed twice more: with the shortest and with the longest possible gaps.
            The finding names the metric that changes most, by over 1 % and 0.1 ms. If only p99.9 is
            affected, the severity is info.
        """,
        measured="""
            At 1000 streams, the TTFT of other load generators is wrong by 100 to 850 ms, and none
            of them reports that it was late.
        """,
        fix="""
            The service needs no change. Give this program more CPUs, or reduce the load:

                undam bench URL --workers 4
                taskset -c 2,3 undam bench URL            on CPUs that nothing else uses

            A worker reads about 80 000 events per second; more workers than CPUs do not help.
        """,
    ),
    Rule(
        code="UD908",
        slug="sent-late",
        severity=Severity.WARNING,
        message=(
            "requests were sent {delay_ms} ms after they were due (p99); without that delay, "
            "TTFT {percentile} would be {from_sent_ms} ms (shown: {shown_ms} ms)"
        ),
        what="""
            Requests were sent later than planned, which increased a TTFT percentile by more than 1
            % and 2 ms.
        """,
        why="""
            TTFT is measured from the time when a request was due, as a user experiences it. An
            overloaded load generator can therefore not hide requests that it did not send, but its
            own delay is part of TTFT.
        """,
        detection="""
            The send delay is the time between the intended start of a request and the time at which
            its last byte was passed to the kernel. The send delay includes delays of the load
            generator and, if no connection was free, the time to open one. With a distant TLS
            server, opening the connection causes most of the send delay, and users wait for the
            connection as well.
        """,
        fix="""
            The service needs no change. Use more worker processes, or reduce the load:

                undam bench URL --workers 4

            If the delay does not change with more workers, connecting is the cause: check the
            network path and the accept queue of the server.
        """,
    ),
    Rule(
        code="UD909",
        slug="client-starved",
        severity=Severity.WARNING,
        message=(
            "the load generator was starved: runnable but not scheduled {waited_percent} % of the "
            "time"
        ),
        what="Other programs, or too many workers, used the CPUs that the load generator needed.",
        why="""
            The load generator reads and sends late. With kernel timestamps, metrics stay correct as
            long as each event is read alone; otherwise, they become uncertain (UD907). A closed
            loop sends requests more slowly than it could, so the server seems slower than it is.
        """,
        detection="""
            The kernel counts how long each worker was runnable but not running
            (/proc/self/schedstat). The finding is reported if a worker waited for a CPU for at
            least 20 % of the time in which it was running or runnable.
        """,
        causes="""
            The server on the same machine, a build, the CPU limit of a container, or more workers
            than CPUs.
        """,
        fix="""
            The service needs no change. Reserve CPUs for this program:

                taskset -c 2,3 undam bench URL --workers 2

            Alternatively, run the load generator on a different machine from the server.
        """,
    ),
    Rule(
        code="UD920",
        slug="offered-above-served",
        severity=Severity.WARNING,
        message=(
            "overload: {offered}/s were offered and {served}/s were served, so requests in flight "
            "grew from {first} to {last}; TTFT and E2E depend on the length of the run"
        ),
        what="""
            In an open loop, requests arrived faster than the server answered them, so a queue grew
            from the beginning to the end of the arrivals.
        """,
        why="""
            The server does not reach a steady state. A run of twice the length has about twice the
            TTFT, so the percentiles describe the length of the run instead of the server.
        """,
        detection="""
            The number of requests in flight at the last arrival is compared with the number that
            the arrivals and the durations of the first fifth of the responses explain. The
            difference must exceed 5 % of all requests and four times the square root of their
            number, so that slow responses or random arrivals are not an overload. A run near the
            capacity that is too short to show a queue is not detected; use --find-max for that.
        """,
        fix="""
            Reduce the rate below the served rate, or search for the capacity:

                undam bench URL --find-max --slo 'ttft_p99<1s'
        """,
    ),
    Rule(
        code="UD921",
        slug="warm-prefix-cache",
        severity=Severity.WARNING,
        message=(
            "the server took {percent} % of the prompt tokens from its prefix cache, so TTFT is "
            "that of a warm cache"
        ),
        what="The usage of the responses reports cached prompt tokens.",
        why="""
            A cached prompt needs no prefill, which can make TTFT ten times shorter. Users with new
            prompts do not get the TTFT of a warm cache.
        """,
        detection="""
            The finding is reported if prompt_tokens_details.cached_tokens, or its equivalent, is at
            least 10 % of the prompt tokens of the same responses. Servers that do not report cached
            tokens are not detected. The severity is info if the cached share was requested with
            --prefix-share, or if conversations repeat their earlier turns.
        """,
        fix="""
            Use generated prompts, which are different in each request and each run, or a prompts
            file with at least as many lines as requests:

                undam bench URL -n 1000

            If your users share a system prompt, set the same shared fraction for the generated
            prompts:

                undam bench URL --prefix-share 0.6
        """,
    ),
    Rule(
        code="UD922",
        slug="prompts-repeated",
        severity=Severity.INFO,
        message=(
            "{requests} requests used {prompts} different prompts, and the server does not report "
            "cached tokens: TTFT may be that of a warm prefix cache"
        ),
        what="The prompts of a file or of --data were sent more than once.",
        why="""
            vLLM and SGLang keep the prefix of earlier prompts by default, so a repeated prompt
            needs no prefill.
        """,
        detection="""
            The number of requests is compared with the number of different prompts. The comparison
            is made only if the usage of the responses does not report cached tokens.
        """,
        fix="""
            Use generated prompts or a longer prompts file, or enable the report of cached tokens
            (vLLM: --enable-prompt-tokens-details).
        """,
    ),
)
