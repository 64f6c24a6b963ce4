package storetest

import "testing"

// Run tests an implementation of store.Store. open returns a new store for each test.
func Run(t *testing.T, open Open) {
	for name, f := range map[string]func(*testing.T, Open){
		"Empty":                   testEmpty,
		"EveryField":              testEveryField,
		"PutReplaces":             testPutReplaces,
		"DeleteLeavesOverrides":   testDeleteLeavesOverrides,
		"DeleteUnknown":           testDeleteUnknown,
		"DeleteOverride":          testDeleteOverride,
		"DeletesComeFirst":        testDeletesComeFirst,
		"StatusOfUnknown":         testStatusOfUnknown,
		"AliveAt":                 testAliveAt,
		"BatchID":                 testBatchID,
		"Lookup":                  testLookup,
		"NamesAreNotPrefixes":     testNames,
		"CallerKeepsItsData":      testAliasing,
		"Sequence":                testSequence,
		"JournalKeepsTheDeleted":  testJournalOfDeleted,
		"Paging":                  testPaging,
		"PagingWhileItGrows":      testPagingWhileItGrows,
		"GapsMatchEveryQuery":     testGaps,
		"Limits":                  testLimits,
		"Bound":                   testBound,
		"BatchBeyondTheBound":     testBatchBeyondBound,
		"NoJournal":               testNoJournal,
		"Forward":                 testForward,
		"ForwardWhileItGrows":     testForwardWhileItGrows,
		"ForwardAfterDrops":       testForwardAfterDrops,
		"ForwardLimits":           testForwardLimits,
		"Positions":               testPositions,
		"PositionWithItsBatch":    testPositionWithItsBatch,
		"PositionsRefused":        testPositionsRefused,
		"ConsumersBound":          testConsumersBound,
		"ConsumerMissesNothing":   testConsumer,
		"EndedContext":            testEndedContext,
		"Closed":                  testClosed,
		"ReadersBesideTheWriter":  testReaders,
		"CloseBesideReaders":      testCloseBesideReaders,
		"TimeRanges":              testTimeRanges,
		"EverySecond":             testEverySecond,
		"Examined":                testExamined,
		"RangeBesideTheWriter":    testRangeBesideTheWriter,
		"ModelSmallJournal":       func(t *testing.T, open Open) { testModel(t, open, 10) },
		"ModelUnboundedByBatches": func(t *testing.T, open Open) { testModel(t, open, 10_000) },
	} {
		t.Run(name, func(t *testing.T) { f(t, open) })
	}
}

// RunDurable tests that a store keeps each committed batch after it was closed and opened again.
func RunDurable(t *testing.T, open OpenAt) {
	t.Run("Reopen", func(t *testing.T) { testReopen(t, open) })
	t.Run("ReopenEmpty", func(t *testing.T) { testReopenEmpty(t, open) })
	t.Run("ReopenWithLowerBound", func(t *testing.T) { testLowerBound(t, open) })
	t.Run("TimeRangesWithReopening", func(t *testing.T) { testTimeRangesReopening(t, open) })
	t.Run("ModelWithReopening", func(t *testing.T) { testModelReopening(t, open) })
}
