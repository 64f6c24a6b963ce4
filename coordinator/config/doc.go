// Package config reads the YAML configuration file of a coordinator, checks it, and
// applies a changed file to a coordinator that runs.
//
//	settings, err := config.Load(ctx, "meshhealth.yaml")
//	...
//	cfg, closeFiles, err := settings.Open(ctx, logger)
//	...
//	defer closeFiles()
//	c, err := coordinator.New(ctx, cfg)
//
// A configuration can name an access policy, which [LoadAccessPolicy] reads from a file of its own.
//
// An error of [Load] lists all faults of the file, each with file, line and key. A program may
// change the [Settings] before it calls [Settings.Open], for example because of its flags. A
// [Reloader] reads the file again later.
//
// # Concurrency
//
// Only one goroutine at a time may use a Settings or a Reloader. The credentials that Open returns are
// safe for concurrent use. Their files are read in the background until closeFiles is called.
package config
