"""The benchmark: what ten thousand peers cost on this machine, with the real API server, controller and agent.

Every figure is a ratio or a percentile of one run, since absolute numbers of one machine say nothing about another.

    figures    what a row hands back             watch      peers as the API server tells of them
    table      figures for people                audit      who wrote what, from the API server's audit log
    machine    what it ran on                    usage      CPU and memory of processes
    client     a bare client                     device     what happens on the device, as it happens
    baseline   what that client alone can do     fleet      control plane, controller and agent of a run

One module a row: bulk, restart, latency, footprint, agent, scale; short is what CI runs.
"""
