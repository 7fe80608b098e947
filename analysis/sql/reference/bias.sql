-- question: does the model err to one side, and for which cache?
-- grain: one row per figure of memory and cpus, over kernels and workloads
select
    figure, cpus, count(*) as figures, avg(error) as bias,
    if(count(*) > 1, stddev_samp(error) / sqrt(count(*)), null) as standard_error,
    sqrt(avg(standard_error ** 2)) as of_reference, unit
from verdicts
where "group" = 'memory' and model is not null and not starts_with(verdict, 'refused')
group by figure, cpus, unit
order by all
