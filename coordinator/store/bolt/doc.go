// Package bolt keeps the records of a coordinator in one bbolt file.
//
// [Open] examines the file before bbolt may write to it, because bbolt checks little: on a
// damaged file it panics, faults or returns wrong data. Open reads every page and every record.
// It checks that each page is used exactly once or free, that keys are in order, and that
// checksums and numbers of records are right. It cannot find damage in free space. A file with
// a fault is refused and not changed. The error says what to do.
//
// The file has one bucket for each kind of record. A record is a version byte, a CRC-32C
// of its bucket, key and text, and the text in JSON. The key of a transition begins with
// its number and ends with its name, so that a query reads only the records it returns.
//
// The file has a format number. Open upgrades a file of an earlier format in one transaction.
// So after a crash the file has the earlier format or the current one. After the upgrade,
// releases that know only the earlier format refuse the file. Open refuses a file of a later
// format with ErrNewerFormat.
//
// A Commit is one bbolt transaction. It waits for the disk twice: for the data pages and
// for the meta page.
//
// # Concurrency
//
// The rules of [store.Store] hold. Only one process at a time can open a file.
package bolt
