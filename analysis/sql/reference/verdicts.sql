-- question: is the model true?
-- grain: one row per figure that the model or a reference has
with
reference_figures as (
    from memory
    union all by name
    from slabs
    union all by name
    from calls
    union all by name
    from published
),
compared as (
    select
        "group", figure, kernel, cpus, workload, figures.unit, model, reference, standard_error, model - reference as error,
        case rule when 'relative' then tolerance * abs(reference) when 'absolute' then tolerance end as allowed,
        rule, tolerance, refused, coalesce(role, 'counts') as role, source
    from reference_figures
    full join figures using ("group", figure, kernel, cpus, workload)
    where reference is not null or "group" not in ('memory', 'calls')
)
select
    "group", figure, kernel, cpus, workload, unit, model, reference, standard_error, error, tolerance, rule, role,
    case
        when refused is not null then 'refused: ' || refused
        when model is null then 'no model'
        when reference is null then 'no reference'
        when role = 'fitted' then 'fitted'
        when allowed is not null and abs(error) <= allowed + 1e-9 then 'ok'
        when rule = 'factor' and greatest(model / reference, reference / model) <= tolerance then 'ok'
        when rule = 'at least' and error >= 0 then 'ok'
        when rule = 'at most' and error <= 0 then 'ok'
        else 'OUT'
    end as verdict,
    source
from compared
order by all
