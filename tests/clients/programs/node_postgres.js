// What applications do with node-postgres; prints one line of JSON.
const { Client, Pool } = require("pg");

async function main() {
  const client = new Client();
  await client.connect();
  const out = {};
  await client.query("DROP TABLE IF EXISTS js; CREATE TABLE js (id serial PRIMARY KEY, n numeric, j jsonb, t timestamptz, b bytea, a int[])");
  const values = ["1.50", { k: [1, null] }, new Date(Date.UTC(2024, 1, 29)), Buffer.from([0, 255]), [1, null, 3]];
  const inserted = await client.query("INSERT INTO js (n, j, t, b, a) VALUES ($1, $2, $3, $4, $5) RETURNING *", values);
  const row = inserted.rows[0];
  out.row = { id: row.id, n: row.n, j: row.j, t: row.t.toISOString(), b: row.b.toString("hex"), a: row.a };
  out.named = [];
  for (const id of [1, 2]) {
    out.named.push((await client.query({ name: "by-id", text: "SELECT n FROM js WHERE id = $1", values: [id] })).rowCount);
  }
  out.array = (await client.query({ text: "SELECT 1 AS x, 2 AS x", rowMode: "array" })).rows;
  out.several = (await client.query("SELECT 1 AS one; SELECT 2 AS two")).map((result) => result.rows[0]);
  try {
    await client.query("INSERT INTO js (id) VALUES (1)");
  } catch (error) {
    out.error = [error.code, error.constraint, error.table, error.detail];
  }
  const heard = new Promise((resolve) => client.on("notification", resolve));
  await client.query("LISTEN js");
  const pool = new Pool({ max: 2 });
  await pool.query("SELECT pg_notify('js', 'word')");
  out.heard = (await heard).payload;
  await pool.end();
  await client.query("BEGIN");
  await client.query("DELETE FROM js");
  await client.query("ROLLBACK");
  out.left = (await client.query("SELECT count(*) AS c FROM js")).rows[0].c;
  await client.query("DROP TABLE js");
  await client.end();
  console.log(JSON.stringify(out));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
