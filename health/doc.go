// Package health is the judgement of meshhealth: what a status is, how local
// checks become one ([Machine]), and how what is seen of many instances becomes
// the published status of instances, services and the mesh ([Mesh]).
//
// Everything here is values and functions. Time is a parameter, nothing is
// read, sent, locked or started; the same calls give the same answers. Whoever
// owns a Machine or a Mesh feeds it evidence, sleeps until its Deadline, and
// calls Tick.
//
// An instance's status goes through layers, each computing on under those
// above it: what it reports (report.go), whether it can be reached (reach.go),
// what vanished with many others (guard.go), what goes up and down (damping.go),
// and what a person forces (override.go). A service's status is its rule over
// the counts of its instances (rule.go), in each zone too (zone.go); what it
// depends on explains it (depend.go).
//
// # Concurrency
//
// Nothing here is safe for concurrent use. A Machine is a value; a *Mesh has
// one owner and must not be copied.
package health
