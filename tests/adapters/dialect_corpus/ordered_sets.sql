select percentile_cont(0.5) within group (order by qty) from item
select percentile_cont(0.3) within group (order by price), percentile_disc(0.3) within group (order by price) from item
select percentile_disc(0.5) within group (order by name), percentile_disc(0.5) within group (order by name desc) from item
select kind, percentile_cont(0.5) within group (order by weight) from item group by kind order by 1
select percentile_cont(array[0.25, 0.5, 0.75]) within group (order by qty) from item
select percentile_disc(array[0, 0.5, 1]) within group (order by price) from item
select percentile_disc('{0.1,0.9,NULL}'::float8[]) within group (order by name) from item
select percentile_cont(0.5) within group (order by span) from item
select percentile_disc(0.5) within group (order by made) from item
select percentile_disc(0.5) within group (order by atz desc) from item
select percentile_cont(1.5) within group (order by qty) from item
select percentile_cont(null) within group (order by qty) from item
select percentile_cont(0.5) within group (order by qty) from item where false
select percentile_cont(0.95) within group (order by qty) filter (where kind = 'fruit') from item
select percentile_cont(0.5) within group (order by name) from item
select percentile_cont(0.5) from item
select mode() within group (order by kind) from item
select mode() within group (order by kind desc), mode() within group (order by amount) from item
select mode() within group (order by active) as m from item
select rank(2) within group (order by id) from item
select rank(10) within group (order by qty), dense_rank(10) within group (order by qty), percent_rank(10) within group (order by qty), cume_dist(10) within group (order by qty) from item
select rank(10) within group (order by qty desc), rank(null) within group (order by qty), rank(0) within group (order by qty desc nulls last) from item
select rank('fruit', 1.0) within group (order by kind, price) from item
select dense_rank('veg') within group (order by kind) from item
select kind, rank(5) within group (order by qty) from item group by kind order by 1
select percent_rank(1) within group (order by id) from item where false
select cume_dist(1) within group (order by id) from item where false
select rank(1, 2) within group (order by id) from item
select rank('x') within group (order by id) from item
select sum(1) within group (order by id) from item
select percentile_cont(0.5) within group (order by id) over () from item
select round(percentile_cont(0.99) within group (order by weight)::numeric, 2) as p99 from item
select corr(qty, id), covar_pop(qty, id), covar_samp(qty, id) from item
select regr_avgx(qty, id), regr_avgy(qty, id), regr_count(qty, id), regr_intercept(qty, id), regr_r2(qty, id), regr_slope(qty, id), regr_sxx(qty, id), regr_sxy(qty, id), regr_syy(qty, id) from item
select corr(price, weight), regr_slope(price, weight) from item
select corr(qty, id), covar_samp(qty, id), regr_count(qty, id), regr_r2(qty, id) from item where id = 1
select corr(qty, id) from item where false
select id, regr_slope(qty, id) over (order by id) from item order by id
select id, corr(id, qty) over (order by id rows between 2 preceding and current row) from item order by id
select kind, regr_count(id, qty), corr(id, qty) from item group by rollup (kind) order by 1
select percentile_cont(0.5) within group (order by qty) + 1 from item having count(*) > 2
select kind from item group by kind order by percentile_cont(0.5) within group (order by price) nulls first, kind
select id from item where percentile_cont(0.5) within group (order by qty) > 1
select percentile_disc(0.5) within group (order by qty, id) from item
select percentile_cont(id) within group (order by qty) from item
select id, percentile_cont(0.2) within group (order by qty) from item group by id order by id
select percentile_cont(0.25) within group (order by at) from item
select percentile_cont(array[[0.2,0.4],[0.6,0.8]]) within group (order by id) from item
select mode() within group (order by qty) filter (where false) from item
select kind, mode() within group (order by qty), percentile_disc(0.5) within group (order by qty) from item group by rollup (kind) order by 1
