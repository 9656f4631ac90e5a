// What applications and GUIs do with the JDBC driver; prints one fact a line.
import java.sql.*;
import java.util.*;

public class Jdbc {
    static void print(String name, ResultSet rows, String... columns) throws SQLException {
        List<String> found = new ArrayList<>();
        while (rows.next()) {
            StringJoiner row = new StringJoiner("/");
            for (String column : columns) row.add(String.valueOf(rows.getObject(column)));
            found.add(row.toString());
        }
        System.out.println(name + "=" + String.join(",", found));
    }

    public static void main(String[] args) throws Exception {
        try (Connection db = DriverManager.getConnection(args[0])) {
            Statement sql = db.createStatement();
            sql.execute("DROP TABLE IF EXISTS child; DROP TABLE IF EXISTS parent");
            sql.execute("CREATE TABLE parent (id serial PRIMARY KEY, name varchar(20) NOT NULL, n numeric(10,2), a int[])");
            sql.execute("CREATE TABLE child (x int, y int REFERENCES parent(id), PRIMARY KEY (x, y))");
            sql.execute("CREATE INDEX parent_name ON parent (name)");
            PreparedStatement insert = db.prepareStatement("INSERT INTO parent (name, n, a) VALUES (?, ?, ?)", 1);
            for (int at = 0; at < 3; at++) {
                insert.setString(1, "name" + at);
                insert.setBigDecimal(2, new java.math.BigDecimal("1.50"));
                insert.setArray(3, db.createArrayOf("int4", new Object[] {at, null}));
                insert.addBatch();
            }
            System.out.println("batch=" + Arrays.toString(insert.executeBatch()));
            print("keys", insert.getGeneratedKeys(), "id");
            PreparedStatement read = db.prepareStatement("SELECT id, n, a, now() IS NOT NULL AS t FROM parent WHERE id > ? ORDER BY id");
            for (int round = 0; round < 7; round++) {
                read.setInt(1, 1);
                ResultSet rows = read.executeQuery();
                if (round == 0 || round == 6) print("round" + round, rows, "id", "n", "a", "t");
            }
            db.setAutoCommit(false);
            Statement cursor = db.createStatement();
            cursor.setFetchSize(2);
            ResultSet series = cursor.executeQuery("SELECT generate_series(1, 5) AS g");
            print("cursor", series, "g");
            db.commit();
            db.setAutoCommit(true);
            DatabaseMetaData meta = db.getMetaData();
            print("tables", meta.getTables(null, "public", "%", new String[] {"TABLE"}), "TABLE_NAME", "TABLE_TYPE");
            print("columns", meta.getColumns(null, "public", "parent", "%"), "COLUMN_NAME", "TYPE_NAME", "COLUMN_SIZE", "NULLABLE", "IS_AUTOINCREMENT");
            print("primary", meta.getPrimaryKeys(null, "public", "child"), "COLUMN_NAME", "KEY_SEQ", "PK_NAME");
            print("imported", meta.getImportedKeys(null, "public", "child"), "PKTABLE_NAME", "FKCOLUMN_NAME", "FK_NAME");
            print("indexes", meta.getIndexInfo(null, "public", "parent", false, false), "INDEX_NAME", "NON_UNIQUE", "COLUMN_NAME");
            System.out.println("maximum=" + meta.getMaxColumnsInIndex());
            try {
                sql.execute("INSERT INTO child VALUES (1, 99)");
            } catch (SQLException error) {
                System.out.println("error=" + error.getSQLState());
            }
        }
    }
}
