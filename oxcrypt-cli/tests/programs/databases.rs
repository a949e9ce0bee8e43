//! Databases that several programs write to at once.

use crate::stage::Stage;
use crate::tools::{amount, lacks};

/// Waits for others as long as need be, with the journal that `$1` says.
const SQLITE: &str = r#"
    mode=$1
    sql() {
        sqlite3 -batch -cmd '.timeout 120000' -cmd '.output /dev/null' -cmd "PRAGMA journal_mode = $mode" -cmd '.output stdout' \
            database "$@"
    }"#;

#[test]
fn sqlite_loses_nothing_that_several_processes_wrote_in_any_journal_mode() {
    if lacks("sqlite3") {
        return;
    }
    let transactions = amount(8, 40).to_string();
    for mut stage in Stage::both() {
        for mode in ["wal", "delete", "truncate", "persist"] {
            stage.run(
                &format!(
                    r#"{SQLITE}
                    mkdir "$1"
                    cd "$1"
                    sql "CREATE TABLE rows (writer, number, text, UNIQUE (writer, number));"
                    for writer in 1 2 3 4; do
                        for number in $(seq "$2"); do
                            echo "BEGIN IMMEDIATE; INSERT INTO rows VALUES ($writer, $number, hex(randomblob(900)));"
                            echo "INSERT INTO rows VALUES ($writer, -$number, zeroblob($number * 100)); COMMIT;"
                            echo "SELECT count(*) FROM rows;"
                        done | sql > "said $writer" &
                    done
                    wait
                    test "$(sql 'PRAGMA integrity_check')" = ok
                    test "$(sql 'SELECT count(*) FROM rows')" = "$((4 * 2 * $2))"
                    echo "BEGIN; DELETE FROM rows; ROLLBACK; UPDATE rows SET text = 'changed' WHERE number < 3;" | sql
                    test "$(sql 'PRAGMA journal_mode')" = "$1"
                    sql 'PRAGMA wal_checkpoint(PASSIVE)' > /dev/null
                    sql .dump > ../"dump $1""#
                ),
                &[mode, &transactions],
            );
        }
        stage.outlives_a_remount();
        for mode in ["wal", "delete", "truncate", "persist"] {
            stage.run(
                &format!(
                    r#"{SQLITE}
                    cd "$1"
                    test "$(sql 'PRAGMA integrity_check')" = ok
                    sql .dump | cmp - ../"dump $1"
                    sql 'VACUUM' 'PRAGMA integrity_check'"#
                ),
                &[mode],
            );
        }
    }
}

#[test]
fn a_program_that_dies_in_a_transaction_leaves_a_journal_that_undoes_it() {
    if lacks("sqlite3") {
        return;
    }
    for mut stage in Stage::both() {
        for mode in ["wal", "delete"] {
            stage.run(
                &format!(
                    r#"{SQLITE}
                    mkdir "$1"
                    cd "$1"
                    sql "CREATE TABLE rows (text); INSERT INTO rows VALUES ('kept');"
                    (
                        echo 'PRAGMA cache_size = 5; BEGIN; UPDATE rows SET text = 0;'
                        echo 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)'
                        echo 'INSERT INTO rows SELECT hex(randomblob(1000)) FROM n;'
                        echo '.shell kill -9 $PPID'
                    ) | sql || true"#
                ),
                &[mode],
            );
        }
        stage.remount();
        for mode in ["wal", "delete"] {
            let kept = format!(
                r#"{SQLITE}
                cd "$1"
                sql 'PRAGMA integrity_check' 'SELECT * FROM rows'"#
            );
            assert_eq!(stage.run(&kept, &[mode]), "ok\nkept\n");
        }
    }
}
