// Package input reads files, YAML and single values such as durations that people have written.
// Files and pipes are read up to a maximum size. Faults in YAML are reported with file, line and
// path.
//
// A [Reader] reads one YAML node into one variable. Readers are combined into a description of a
// whole file:
//
//	input.YAML(problems, text, input.Object(input.Fields{
//		"name": input.Text(&name, input.AnyText),
//		"wait": input.Duration(&wait, time.Second, false),
//	}))
//
// A reader reports all faults of its node to a [Problems] list and goes on. After a
// fault the value of its variable is not specified.
//
// # Concurrency
//
// Only one goroutine at a time may use a Reader or a Problems. [Read] starts one goroutine. If the
// context ends before the input has ended, this goroutine continues after the call.
package input
