select (1, 'a') = (select 1, 'a');
