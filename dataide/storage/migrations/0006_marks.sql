-- Marks say which samples are examples of a tag and which are not; autotag learns from them. They stand in the journal alone,
-- as changes of the field 'mark “<tag>”', so that undo and redo need nothing else: positive, negative or none, and behind a
-- comma “asked” where the sample was asked about.

CREATE VIEW data.mark AS
    SELECT sample_no, tag, split_part(said, ',', 1) = 'positive' AS positive, contains(said, 'asked') AS asked
    FROM (
        SELECT c.sample_no, substr(c.field, 7, length(c.field) - 7) AS tag, arg_max(c.after, c.event_no) AS said
        FROM data.change_each c JOIN data.event e ON e.event_no = c.event_no
        WHERE starts_with(c.field, 'mark “') AND e.state = 'done' GROUP BY ALL
    ) WHERE said <> 'none';
