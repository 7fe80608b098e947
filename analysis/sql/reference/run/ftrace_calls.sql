-- question: how often did a kernel of this run call the functions of the charge path?
-- grain: one row per kernel, cpus, depth, boot, phase and function
select
    kernel, cpus, depth, replicate as run, counted_files as files,
    if(phase = 'pipe', 'pipe' || operations, phase) as phase, function,
    hits_after - hits_before as calls, misses_after - misses_before as misses,
    guest_us_per_operation is not null as paced
from run_calls
where source <> 'model' and phase <> 'idle'
