// Every cap of Grayling, in one place. Nothing grows without one of these.
#pragma once
#define GR_DOCUMENT_BYTES_MAX (256u * 1024) // one etcd value
#define GR_CONFIG_BYTES_MAX (64u * 1024)    // a module's `config`, must fit one channel message
#define GR_JSON_DEPTH_MAX 64
#define GR_JSON_SAME_VALUES_MAX 65536           // of one text that is compared with another
#define GR_JSON_IGNORE_PATHS_MAX 32             // left out of a comparison
#define GR_JSON_IGNORE_HOPS_MAX 16              // of one of them
#define GR_JSON_TEXT_BYTES_MAX (64u << 20)      // of a tree that is printed
#define GR_ARTIFACT_BYTES_DEFAULT (64ull << 20) // [Artifacts] MaxBytes
#define GR_ARTIFACT_BYTES_CEILING (1ull << 30)
#define GR_FETCH_USEC_MAX (120ull * 1000000)  // all mirrors and retries together
#define GR_FETCH_STALL_USEC (10ull * 1000000) // no byte for so long: next mirror
#define GR_SOURCES_MAX 8
#define GR_REDIRECTS_MAX 4
#define GR_FETCH_ATTEMPTS_MAX 4            // per mirror, for what another try can cure
#define GR_FETCH_BACKOFF_USEC 200000ull    // first ceiling of the jitter; doubles
#define GR_FETCH_CHUNK_BYTES (256u * 1024) // read and hashed per turn of the event loop
#define GR_PREFLIGHT_USEC_MAX (10ull * 1000000)
#define GR_PREFLIGHT_MEMORY_BYTES (4ull << 30) // address space
#define GR_PREFLIGHT_THREADS_MAX 256           // RLIMIT_NPROC counts every task of the user
#define GR_PREFLIGHT_FILES_MAX 64
#define GR_PREFLIGHT_STDERR_MAX 1024 // kept of what the candidate wrote
#define GR_PREFLIGHT_VERDICT_MAX 8192
#define GR_ELF_SEGMENTS_MAX 64
#define GR_ELF_NEEDED_MAX 64
#define GR_ELF_SYMBOLS_MAX 1000000
#define GR_ELF_TRAITS_MAX 20
#define GR_ABI_SYMBOLS_TOLD 64 // of those that two files do not have in common; the rest is counted
#define GR_INIT_USEC_MAX (10ull * 1000000) // load+init in the worker
#define GR_MODULES_MAX 256                 // per service; gates are a bitset of this size
#define GR_INSTANCES_MAX 512               // loaded versions, statistics slots
#define GR_METHODS_MAX 32                  // per module
#define GR_STATE_IMPORTS_MAX 64            // schema numbers that one contract may list
#define GR_THREADS_MAX 96                  // dispatch threads
#define GR_DOOR_THREADS_MAX 64             // that the front door may be given
#define GR_POOL_THREADS_MAX 32             // in one worker, for `execution: pool`
#define GR_POOL_THREADS_DEFAULT 8          // of them at once in calls of one version
#define GR_POOL_QUEUE_MAX 1024             // calls of one version that wait for them
#define GR_POOL_QUEUE_DEFAULT 64
#define GR_CALL_DEPTH_MAX 8  // module to module
#define GR_RING_SLOTS_MAX 64 // calls at once into one isolated process
#define GR_RING_HELD_MAX 8   // of them: responses that wait for slow clients
#define GR_CALL_TIMEOUT_DEFAULT_USEC (30ull * 1000000) // of a method without a deadline
#define GR_CALL_GRACE_DEFAULT_USEC (5ull * 1000000)    // ... on top of either, then it is given up
#define GR_RELIEF_MAX 16           // threads at once that are inside of a call and lost their lane
#define GR_RELIEF_AFTER_USEC 20000 // of one call: somebody else serves the lane's connections
#define GR_ISOLATED_INIT_USEC 9000000ull    // load+init there; less than GR_INIT_USEC_MAX
#define GR_ISOLATED_END_USEC 2000000ull     // destroy() there
#define GR_ISOLATED_STEADY_USEC 60000000ull // it lived so long: its next death is the first again
#define GR_ISOLATED_LATE_USEC 1000000ull    // before the process after a call that never returned
#define GR_ISOLATED_BACKOFF_USEC 100000ull  // before the process after the second death; doubles
#define GR_ISOLATED_BACKOFF_USEC_MAX 30000000ull
#define GR_ISOLATED_FILES_MAX 1024            // descriptors of one isolated process
#define GR_ISOLATED_MEMORY_BYTES (4ull << 30) // ... and private memory that it can write
#define GR_FAULT_RECORDS_MAX 64               // versions whose faults are remembered
#define GR_BREAKER_FAULTS_MAX 16              // that one may ask for before a breaker opens
#define GR_BREAKER_FAULTS_DEFAULT 3
#define GR_BREAKER_WINDOW_USEC_DEFAULT (60ull * 1000000)
#define GR_BREAKER_BACKOFF_USEC_DEFAULT (5ull * 1000000)
#define GR_BREAKER_BACKOFF_USEC_MAX (300ull * 1000000)
#define GR_STATE_BYTES_MAX (1ull << 30) // of one memory object in which a module keeps state
#define GR_STATE_OBJECTS_MAX 16         // of them held by one version
#define GR_PARKED_MAX 8192              // requests waiting for a gate; beyond: unavailable
#define GR_REQUEST_BYTES_MAX (4u << 20)
#define GR_RESPONSE_BYTES_MAX (16u << 20)
#define GR_HEADER_BYTES_MAX (16u * 1024)
#define GR_CONNECTIONS_MAX 16384
#define GR_CHANNEL_MESSAGE_MAX (160u * 1024)
#define GR_CHANNEL_FDS_MAX 16
#define GR_ETCD_LINE_MAX (16u << 20)
#define GR_ETCD_RANGE_BYTES_MAX (64u << 20)
// changes between two reads among which torn transactions are looked for
#define GR_ETCD_UNSEEN_MAX 512
#define GR_STORE_KEEP_COUNT 8           // per module, besides those in use
#define GR_STORE_EVIDENCE_MAX 16        // convicted lately, also besides those in use
#define GR_OLDER_MAX 8                  // releases tried when the committed one cannot be had
#define GR_OLDER_LOOK_MAX 64            // rollouts of a module that are looked through for them
#define GR_MEND_BACKOFF_USEC 1000000ull // between the first tries for a lost artifact; doubles
#define GR_MEND_BACKOFF_USEC_MAX (300ull * 1000000)
#define GR_STORE_COPIES_MAX 8 // of one artifact, each for one more load of it into the same worker
#define GR_STORE_MARGIN_BYTES (4u << 20) // of the disk, which artifacts leave to the journal
#define GR_STARTS_KEPT 16                // of graylingd, in the journal
#define GR_START_TRIES_MAX 3             // starts that may die with one candidate in play
#define GR_START_STABLE_DEFAULT_USEC 10000000ull // [Service] StableAfter
#define GR_START_STABLE_USEC_MAX (3600ull * 1000000)
#define GR_SAFE_MODE_STARTS 5                // so many died in a row without a culprit ...
#define GR_SAFE_MODE_USEC (600ull * 1000000) // ... within this time: safe mode
#define GR_QUARANTINE_KEYS_MAX 4096          // of a service in etcd, lifted ones included
#define GR_HISTORY_ROWS_MAX 10000
#define GR_HISTORY_BYTES_MAX (64u << 20) // documents of ended rollouts
#define GR_EVENTS_MAX 1000
#define GR_VERDICT_RECORD_BYTES_MAX (128u * 1024) // one verdict with its inputs, as JSON
#define GR_VERDICTS_MAX 32                        // kept of one member of a rollout
#define GR_VERDICTS_BYTES_MAX (32u << 20)         // kept of all rollouts
#define GR_INTENTS_KEPT 8                         // results of a module's newest intents
#define GR_BAKE_DEFAULT_USEC (600ull * 1000000)
#define GR_FREEZE_BUDGET_DEFAULT_USEC 50000ull
#define GR_FREEZE_BUDGET_MAX_USEC 10000000ull
#define GR_DEADLINE_DEFAULT_USEC (3600ull * 1000000)
#define GR_METRICS_BYTES_MAX (16u << 20)
#define GR_TALLIES_MAX (2 * GR_MODULES_MAX) // modules whose swaps and rollbacks are counted
#define GR_CONTROL_BYTES_MAX (4u << 20)     // body of one control request
#define GR_CONTROL_CONNECTIONS_MAX 64       // per server: control socket, admin address
#define GR_CONTROL_IDLE_SEC 60              // a silent connection is closed
#define GR_STREAMS_MAX 16                   // who watch the admin address at once
#define GR_STREAM_SAY_BYTES 65536u          // a stream says no more at once, but one whole thing
#define GR_STREAM_SAY_BYTES_MAX (1u << 20)  // ... which is no larger than this
#define GR_STREAM_EVENTS_AT_ONCE 50         // read from the journal
#define GR_STREAM_EVENTS_BEFORE 200         // told to whoever begins to watch
#define GR_STREAM_LOOK_USEC 1000000ull      // numbers are looked at so often while somebody watches
#define GR_STREAM_LOOK_USEC_MIN 200000ull   // ... and changes
#define GR_STREAM_BEAT_USEC 15000000ull     // a silent stream says that it lives
#define GR_CONTROL_WAIT_USEC_MAX (60ull * 1000000) // longest long poll
#define GR_ROLLOUTS_MAX (2 * GR_MODULES_MAX) // in progress at once: one that goes, one that comes
#define GR_GRAYS_MAX 128                     // rollouts with a candidate in one routing table
#define GR_HEADERS_MAX 100                   // header fields of one request
#define GR_HEAD_SEC_MAX 10                   // a request's head must be complete by then
#define GR_BODY_SEC_MAX 120                  // ... and its body
#define GR_IDLE_SEC_MAX 75                   // an idle connection is closed
#define GR_DISCARD_BYTES_MAX (16u << 20)     // read past an oversized body, to answer in order
#define GR_FREEZES_MAX 16                    // operators' freezes at once
#define GR_FREEZE_FOR_USEC_MAX (300ull * 1000000) // longest operators' freeze
#define GR_UNLOAD_USEC_MAX (10ull * 1000000)      // wait for calls still inside, then pin
#define GR_DRAIN_DEFAULT_USEC (10ull * 1000000)   // SIGTERM, or orphaned without a successor
#define GR_ORPHAN_DEFAULT_USEC                                                                     \
    (120ull * 1000000)             // a worker serves on for so long without supervisor
#define GR_MATCH_RULES_MAX 32      // of one strategy
#define GR_MATCH_TEXT_MAX 256      // bytes of a rule's name, text or pattern
#define GR_REGEX_SUBJECT_MAX 8192  // bytes that a rule's pattern is tried on
#define GR_REGEX_STEPS_MAX 50000   // pattern items and bytes passed, for one rule and text
#define GR_REGEX_MATCH_MAX 10000   // PCRE2's match limit: backtracking from one starting place
#define GR_REGEX_DEPTH_MAX 2000    // ... how deep
#define GR_REGEX_HEAP_KIB_MAX 1024 // ... and in how much memory
#define GR_SHADOW_THREADS 1        // of the pool; its seats are beside the front door's
#define GR_SHADOW_QUEUE_MAX 256    // copies that wait; a power of two
#define GR_SHADOW_QUEUE_BYTES_MAX (16ull << 20) // ... and what they hold
#define GR_SHADOW_LAG_USEC_MAX 1000000ull       // an older copy is dropped
#define GR_SHADOW_NOISE_EVERY 8                 // of so many copies stable answers one again
#define GR_HARMS_MAX 1024 // harm budgets at once, and of rollouts that ended lately

// contracts of releases that were verified or loaded
#define GR_CONTRACTS_KEPT (4 * GR_MODULES_MAX)

#define GR_BACK_AGAIN_USEC 10000ull       // until a way back whose hand-over failed is tried again;
#define GR_BACK_AGAIN_USEC_MAX 5000000ull // doubles up to this
#define GR_BACK_TRIES_QUIET 5             // so many before it is told
#define GR_BACK_TRIES_MAX 8               // for calls that do not end

// Memory pressure, of a worker in which or beside which modules fault (control/pressure.h)
#define GR_PRESSURE_HIGH_PERMYRIAD 9000u           // above it the worker may be replaced
#define GR_PRESSURE_LOW_PERMYRIAD 8000u            // below it a replacement has helped
#define GR_PRESSURE_SUSTAINED 3u                   // measurements in a row
#define GR_PRESSURE_LOOK_USEC 1000000ull           // between two, while a fault counts
#define GR_PRESSURE_BACKOFF_USEC (60ull * 1000000) // between two replacements; doubles up to
#define GR_PRESSURE_BACKOFF_USEC_MAX (3600ull * 1000000)
#define GR_MEMORY_LIMIT_MAX (1ull << 44) // bytes, of a limit that is given

#define GR_CONTROL_RETRY_USEC 2000000ull // between two tries for a socket that finds no room

#define GR_DRILL_BYTES_MAX (64u * 1024) // one file
#define GR_DRILL_LINES_MAX 128
#define GR_DRILL_ARGS_MAX 6
#define GR_DRILL_ROWS_MAX 8
#define GR_DRILL_SETS_MAX 8
#define GR_DRILL_PATIENCE_USEC 90000000ull // a drill's wait that names no time
#define GR_DRILL_PATIENCE_USEC_MAX (600ull * 1000000)
#define GR_DRILL_TRAFFICS_MAX 4
#define GR_DRILL_CLIENTS_MAX 16   // of one traffic
#define GR_DRILL_RATE_MAX 2000    // requests a second of one traffic
#define GR_DRILL_RESULTS_MAX 1024 // read for one report

#define GR_LOADS_KEPT (2 * GR_INSTANCES_MAX) // loads that a profile can name
#define GR_LOAD_NAME_MAX 256
#define GR_LOAD_PATH_MAX 512
#define GR_BUILD_ID_TEXT_MAX 81
#define GR_PROFILE_HZ_DEFAULT 99 // not in step with what happens every hundredth of a second
#define GR_PROFILE_HZ_MAX 999
#define GR_PROFILE_USEC_DEFAULT (10ull * 1000000)
#define GR_PROFILE_USEC_MAX (300ull * 1000000)
#define GR_PROFILE_SAMPLES_MAX 65536    // of one profile; more are counted as lost
#define GR_PROFILE_FRAMES_MAX 48        // of one sample
#define GR_PROFILE_THREADS_MAX 512      // that have a timer
#define GR_PROFILE_LOOK_USEC 100000ull  // for threads that began meanwhile
#define GR_PROFILE_BYTES_MAX (8u << 20) // of its text
#define GR_PROFILE_OBJECTS_MAX 4096     // mapped files that one may name
#define GR_PROFILE_STACKS_MAX GR_PROFILE_SAMPLES_MAX
#define GR_PROFILE_NODES_MAX 200000 // of the tree that is drawn
#define GR_SYMBOL_TEXT_MAX 256      // of a function's name; the rest is left out

#define GR_SPANS_SECOND_MAX 4096    // recorded by one worker between two ticks
#define GR_SPANS_MESSAGE_MAX 48     // of a worker's spans in one message
#define GR_TELEMETRY_SPANS_MAX 4096 // that wait for a collector
#define GR_TELEMETRY_BATCH_MAX 512  // of them in one request
#define GR_TELEMETRY_ANSWER_BYTES_MAX (64u * 1024)
