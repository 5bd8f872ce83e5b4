"""UD9xx: caveats about the measurement itself."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD901",
        slug="client-late",
        severity=Severity.INFO,
        message=("this machine read data {late_ms} ms late (p99): shorter gaps are not reliable"),
        what="This program read bytes from the kernel more than 10 ms after they had arrived.",
        why="""
            Arrival times stay correct, because the kernel records them. However, several segments
            that wait together share the timestamp of the last segment. Short gaps are therefore
            lost, and this machine may have caused the bursts. Tools that do not detect late reads
            report the delay as server latency.
        """,
        detection="""
            The delay of a read is the time of the read minus the kernel's timestamp. The finding
            reports the p99 delay of all reads. If reads are late, the check repeats its request up
            to twice and uses the best attempt. If the delay could explain the bursts, the verdict
            is `unknown`. In a load test, the finding has severity `warning`.
        """,
        measured="""
            With 1000 streams on one core, load generators with their own clocks reported TTFT p99
            values that were 13 ms (a Rust client) to 2.2 s too high. With kernel timestamps, the
            error was 0.004 ms.
        """,
        fix="""
            The service needs no change. Free up CPU time on this machine, or measure fewer streams:

                undam check URL --streams 1
                nice -n -5 undam check URL        (as root)

            Alternatively, run the check on a host other than the model's host.
        """,
    ),
    Rule(
        code="UD902",
        slug="coalesced-reads",
        severity=Severity.INFO,
        message=(
            "{reads} reads returned several events that had waited on this machine for up to "
            "{late_ms} ms: the gaps are known only within bounds"
        ),
        what="""
            One read returned several events that had waited on this machine for longer than the gap
            between events. Linux gives the read the timestamp of its last segment. The earlier
            events arrived at unknown times between the previous read and this read.
        """,
        why="""
            The events of one read share a timestamp, so the gaps between these events appear to be
            zero. An ITL percentile of zero suggests that events arrived in a burst. The benchmarks
            of vLLM and aiperf report an ITL p50 of 0.00 ms at 1000 streams, although the real gap
            is 20 ms.
        """,
        detection="""
            The number of events in a read is compared with the delay of the read. If a read was not
            delayed, its events were sent together. The findings about hops cover events that were
            sent together.
        """,
        measured="""
            On Linux, the gaps are lost even if the program reads the waiting segments one token at
            a time.
        """,
        fix="""
            The service needs no change. Measure fewer streams at once, or use a faster machine:

                undam check URL --streams 1

            The number of reads with several events shows the size of the effect. A few such reads
            in a thousand do not change any percentile below p99.
        """,
    ),
    Rule(
        code="UD903",
        slug="clock-stepped",
        severity=Severity.INFO,
        message="the wall clock moved by {step_ms} ms during the measurement",
        what="""
            `CLOCK_REALTIME`, the clock that the kernel uses for arrival times, moved by more than
            20 ms relative to the monotonic clock while a stream was read.
        """,
        why="""
            One gap of the stream, and every duration that includes this gap, is wrong by the size
            of the step. A reported stall may not have happened, or a real stall may be hidden.
            After the step, holds measured with a beacon on another host are wrong by the same
            amount.
        """,
        detection="""
            `CLOCK_REALTIME` and the monotonic clock are compared over the duration of each
            exchange. Gradual correction by NTP (at most 0.5 ms per second) stays far below the
            limit.
        """,
        causes="""
            A time service stepped the clock (ntpdate, or the first synchronisation after boot), a
            virtual machine was suspended or moved, or a user ran `date`.
        """,
        fix="""
            The service needs no change. Run the check again. If the clock steps again, ask the
            administrator of the host to let the time service slew the clock instead of stepping it:

                chronyc tracking
                makestep 1 3                    (chrony.conf: step only in the first three updates)
        """,
    ),
    Rule(
        code="UD904",
        slug="user-space-clock",
        severity=Severity.INFO,
        message=(
            "no kernel timestamps are available here: times are taken at the read "
            "and include the delay of this program"
        ),
        what="""
            For at least one stream, this program recorded arrival times after each read, because
            the kernel did not timestamp the packets.
        """,
        why="""
            Recorded times include the wait for the CPU. The check cannot determine how long that
            wait was, so UD901 and UD902 are not detected.
        """,
        detection="A read returned without the kernel's timestamp (`SO_TIMESTAMPNS`).",
        measured="""
            The same client was compared with the ground truth at 1 to 1000 streams. TTFT p99 was
            wrong by 0.05 to 0.20 ms with the client's own clock, and by 0.003 to 0.05 ms with
            kernel timestamps.
        """,
        causes="""
            The operating system is not Linux. A sandbox or a user-space network stack does not
            implement `SO_TIMESTAMPNS`. Packets arrived before the first socket with timestamps was
            opened.
        """,
        fix="""
            If fractions of a millisecond matter, run the check on Linux, outside the sandbox.
            Verdicts about holds of at least 12 ms are reliable with either clock. The service needs
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
            A missing verdict does no harm by itself, but it can hide a held stream. For example,
            nginx holds a response below 4 KB until it ends. In a fast response, such a hold is
            invisible.
        """,
        detection="""
            A verdict is not possible if there were fewer than eight content events or only two
            bursts. A verdict is also not possible if one burst was followed by silence, or if this
            machine read too late. The same is true of a response that arrived sooner than a model
            could have generated it (50 ms, or 0.5 ms per event). If no experiment
            distinguished the two causes, bursts of whole events may come from a hop or from engine
            steps. TCP segments, TCP windows, a jittery path or model pauses may also explain
            bursts. With `--beacon`, a verdict is not possible if no event contained a due time, or
            if the clocks disagree.
        """,
        fix="""
            The service needs no change. Request a longer answer:

                undam check URL --prompt 'Count from 1 to 300.'

            Alternatively, compare the response with that of a hop closer to the model. List several
            hops in order, starting with the hop closest to the client:

                undam check URL --hop model=http://MODEL/v1/chat/completions

            For an exact measurement, use a server that includes the due time in every event:

                undam sim --port 9000           instead of the model
                undam check URL --beacon
        """,
    ),
    Rule(
        code="UD906",
        slug="clock-offset",
        severity=Severity.INFO,
        message=(
            "the clock of the beacon's host differs from the local clock by {offset_ms} ms; the "
            "uncertainty of {uncertainty_ms} ms limits the accuracy of the holds"
        ),
        what="The beacon runs on another host, and its due times use that host's clock.",
        why="""
            A hold is the difference between times from two clocks. The check subtracts the
            estimated offset between the clocks. The uncertainty of the estimated offset remains. A
            hold that is shorter than the uncertainty cannot be detected.
        """,
        detection="""
            The check requests the time from the beacon. The offset is calculated from four
            timestamps, with an uncertainty of half the round-trip time (RFC 5905, section 8). The
            finding is reported if the uncertainty exceeds 2 ms. An asymmetric path, or a hop that
            holds the beacon's time response, shifts the offset by at most the uncertainty. If both
            programs run on one host, they use the same clock, and the offset is zero. Verdicts take
            the uncertainty into account. An event counts as held if its delay is at least the sum
            of 12 ms, the uncertainty, and half the one-way delay of the path.
        """,
        fix="""
            The service needs no change. Use a beacon closer to the check or on the same host, or
            synchronise both hosts with the same time server:

                chronyc tracking                on both; "System time" should be below a millisecond

            Metrics that do not use another host's clock (TTFT, gaps, verdicts from patterns or from
            `--hop`) are exact.
        """,
    ),
    Rule(
        code="UD907",
        slug="client-too-slow",
        severity=Severity.WARNING,
        message=(
            "this client read late: {figure} is between {low_ms} and {high_ms} ms "
            "(shown: {shown_ms} ms); {gaps} gaps are uncertain"
        ),
        what="""
            This load generator could not read fast enough, so one of its metrics may be wrong by
            more than 1 %.
        """,
        why="""
            Events that waited together on this machine can no longer be distinguished by their
            arrival times. The metric therefore depends on this machine as much as on the server.
        """,
        detection="""
            If a read returns several events, only the timestamp of the last event is known. If the
            events of one read may have arrived one by one, the gaps between them count as
            uncertain. Every percentile is then computed two more times: with the shortest and with
            the longest possible gaps. The finding names the metric that changes most. The metric
            must change by more than 1 % and by more than 0.1 ms. If only p99.9 is affected, the
            severity is `info`.
        """,
        measured="""
            At 1000 streams, the TTFT of other load generators is wrong by 100 to 850 ms. None of
            the other load generators reports that it was late.
        """,
        fix="""
            The service needs no change. Give this program more CPUs, or reduce the load:

                undam bench URL --workers 4
                taskset -c 2,3 undam bench URL            on CPUs that nothing else uses

            A worker reads about 80 000 events per second. More workers than CPUs do not help.
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
            % and more than 2 ms.
        """,
        why="""
            TTFT is measured from the time at which a request was due, as users experience it. An
            overloaded load generator therefore cannot hide requests that it did not send. However,
            the load generator's own delay is part of TTFT.
        """,
        detection="""
            The send delay is the time from the intended start of a request until its last byte was
            passed to the kernel. The send delay includes delays in the load generator. If no
            connection was free, the send delay also includes the time to open a connection. With a
            distant TLS server, opening the connection causes most of the send delay. Real users
            wait for the connection as well.
        """,
        fix="""
            The service needs no change. Use more worker processes, or reduce the load:

                undam bench URL --workers 4

            If more workers do not reduce the delay, opening connections is the cause. Check the
            network path and the server's accept queue.
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
            The load generator reads and sends data late. With kernel timestamps, metrics stay
            correct as long as each read returns one event. Otherwise, the metrics become uncertain
            (UD907). In a closed loop, a starved load generator sends requests more slowly, so the
            server appears slower than it is.
        """,
        detection="""
            The kernel counts how long each worker was runnable but not running
            (`/proc/self/schedstat`). The finding is reported if a worker waited for a CPU for at
            least 20 % of the time in which it was running or runnable.
        """,
        causes="""
            The server or a build runs on the same machine, a container limits the CPU, or there are
            more workers than CPUs.
        """,
        fix="""
            The service needs no change. Reserve CPUs for this program:

                taskset -c 2,3 undam bench URL --workers 2

            Alternatively, run the load generator on a machine other than the server's machine.
        """,
    ),
    Rule(
        code="UD920",
        slug="offered-above-served",
        severity=Severity.WARNING,
        message=(
            "overload: {offered}/s were offered and {served}/s were served, so requests in flight "
            "grew from {first} to {last}, and TTFT and E2E depend on the length of the run"
        ),
        what="""
            In an open loop, requests arrived faster than the server answered them. A queue
            therefore grew from the first to the last arrival.
        """,
        why="""
            The server does not reach a steady state. A run that is twice as long has about twice
            the TTFT. The percentiles therefore describe the length of the run instead of the
            server.
        """,
        detection="""
            The number of requests in flight at the last arrival is compared with an expected
            number. The expected number is calculated from the arrivals and from the durations of
            the first fifth of the responses. The difference must exceed both 5 % of all requests
            and four times the square root of their number. Slow responses and random arrivals are
            therefore not reported as overload. If the request rate is close to the server's
            capacity, a run may be too short to show a queue, and overload is not detected. Use
            `--find-max` to measure the capacity.
        """,
        fix="""
            Reduce the request rate below the served rate, or search for the capacity:

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
        what="The usage data in the responses includes cached prompt tokens.",
        why="""
            A cached prompt does not need a prefill, so TTFT can be ten times shorter. Users with
            new prompts do not get the short TTFT of a warm cache.
        """,
        detection="""
            The finding is reported if `prompt_tokens_details.cached_tokens`, or its equivalent, is
            at least 10 % of the prompt tokens in the same responses. If a server does not report
            cached tokens, its cache is not detected. The severity is `info` if the cached share was
            requested with `--prefix-share`, or if conversations repeat their earlier turns.
        """,
        fix="""
            Use generated prompts, which differ in each request and each run, or a prompts file with
            at least as many lines as requests:

                undam bench URL -n 1000

            If your users share a system prompt, generate prompts with the same shared fraction:

                undam bench URL --prefix-share 0.6
        """,
    ),
    Rule(
        code="UD922",
        slug="prompts-repeated",
        severity=Severity.INFO,
        message=(
            "only {prompts} of {requests} requests had a new prompt, and the server does not "
            "report cached tokens: TTFT may be that of a warm prefix cache"
        ),
        what="The prompts from a file or from `--data` were sent more than once.",
        why="""
            By default, vLLM and SGLang keep the prefixes of earlier prompts, so a repeated prompt
            does not need a prefill.
        """,
        detection="""
            The number of requests is compared with the number of different prompts. The comparison
            is made only if the responses do not report cached tokens.
        """,
        fix="""
            Use generated prompts or a longer prompts file. Alternatively, let the server report
            cached tokens (vLLM: `--enable-prompt-tokens-details`).
        """,
    ),
)
