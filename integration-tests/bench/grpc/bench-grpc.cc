// Open-loop gRPC load at a fixed rate, measured as bench-http measures: from the moment a call was
// due. One thread sends when calls are due, one takes the answers. Prints the same JSON object.
//
//   bench-grpc PORT RATE SECONDS CHANNELS
#include "../samples.h"
#include <atomic>
#include <cinttypes>
#include <cstdlib>
#include <ctime>
#include <echo.grpc.pb.h>
#include <grpcpp/grpcpp.h>
#include <memory>
#include <string>
#include <sys/prctl.h>
#include <thread>
#include <vector>

using grayling::bench::Echo;
using grayling::bench::Payload;

namespace
{

constexpr uint64_t kWarmUpNsec = 500000000; // as the HTTP client: sent and counted, not timed
constexpr int kDrainSeconds = 5;

uint64_t NowNsec()
{
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1000000000u + static_cast<uint64_t>(t.tv_nsec);
}

void SleepUntil(uint64_t nsec)
{
    timespec t = {static_cast<time_t>(nsec / 1000000000u), static_cast<long>(nsec % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr) != 0)
        ;
}

struct Call {
    uint64_t due_nsec;
    grpc::ClientContext context;
    Payload out;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncResponseReader<Payload>> reader;
};

class Load
{
  public:
    Load(int port, uint64_t rate, uint64_t seconds, int channels)
        : rate_(rate), total_(rate * seconds)
    {
        for (int i = 0; i < channels; i++) { // a connection each, not one that they share
            grpc::ChannelArguments a;
            a.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
            auto channel = grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port),
                                                     grpc::InsecureChannelCredentials(), a);
            if (!channel->WaitForConnected(std::chrono::system_clock::now() +
                                           std::chrono::seconds(kDrainSeconds)))
                return;
            stubs_.push_back(Echo::NewStub(channel));
        }
        in_.set_data(std::string(64, 'x'));
        connected_ = true;
    }

    bool Run(bench_record *record)
    {
        if (!connected_ || bench_record_init(record, total_) < 0)
            return false;
        start_nsec_ = NowNsec();
        std::thread receiver([this, record] { Receive(record); });
        Send(record);
        receiver.join();
        elapsed_nsec_ = NowNsec() - start_nsec_;
        return true;
    }

    void Print(const bench_record *record) const
    {
        printf("{\"rate\":%" PRIu64 ",\"seconds\":%.3f,\"due\":%" PRIu64 ",\"answered\":%" PRIu64
               ",\"failed\":{\"status\":%" PRIu64 "},",
               rate_, static_cast<double>(elapsed_nsec_) / 1e9, total_, answered_, failed_);
        (void)!bench_record_print(record, stdout);
        printf("}\n");
    }

  private:
    void Send(bench_record *record)
    {
        prctl(PR_SET_TIMERSLACK, 1UL);
        for (uint64_t i = 0; i < total_; i++) {
            auto *call = new Call;
            call->due_nsec = bench_due_nsec(start_nsec_, rate_, i);
            call->context.set_deadline(std::chrono::system_clock::now() +
                                       std::chrono::seconds(kDrainSeconds));
            if (call->due_nsec > NowNsec())
                SleepUntil(call->due_nsec);
            call->reader =
                stubs_[i % stubs_.size()]->PrepareAsyncCall(&call->context, in_, &queue_);
            call->reader->StartCall();
            uint64_t due = call->due_nsec; // the call is the receiver's from the next line on
            call->reader->Finish(&call->out, &call->status, call);
            if (due >= start_nsec_ + kWarmUpNsec)
                bench_record_sent(record, due, NowNsec());
        }
    }

    // Every call ends: answered, refused, or at its deadline.
    void Receive(bench_record *record)
    {
        void *tag;
        bool ok;
        for (uint64_t i = 0; i < total_ && queue_.Next(&tag, &ok); i++) {
            uint64_t now = NowNsec();
            std::unique_ptr<Call> call(static_cast<Call *>(tag));
            if (!ok || !call->status.ok() || call->out.data().size() != in_.data().size()) {
                failed_++;
                continue;
            }
            answered_++;
            if (call->due_nsec >= start_nsec_ + kWarmUpNsec)
                bench_record_answered(record, call->due_nsec, now);
        }
    }

    uint64_t rate_, total_, start_nsec_ = 0, elapsed_nsec_ = 0, answered_ = 0, failed_ = 0;
    bool connected_ = false;
    Payload in_;
    std::vector<std::unique_ptr<Echo::Stub>> stubs_;
    grpc::CompletionQueue queue_;
};

} // namespace

int main(int argc, char **argv)
{
    int v[4] = {0, 0, 0, 0};
    for (int i = 0; i < 4 && i + 1 < argc; i++)
        v[i] = atoi(argv[i + 1]);
    if (argc != 5 || v[0] < 1 || v[0] > 65535 || v[1] < 1 || v[1] > 200000 || v[2] < 1 ||
        v[2] > 600 || v[3] < 1 || v[3] > 256) {
        fprintf(stderr, "usage: bench-grpc PORT RATE SECONDS CHANNELS\n");
        return 2;
    }
    static bench_record record;
    Load load(v[0], static_cast<uint64_t>(v[1]), static_cast<uint64_t>(v[2]), v[3]);
    if (!load.Run(&record)) {
        fprintf(stderr, "bench-grpc: no connection to port %d\n", v[0]);
        return 1;
    }
    load.Print(&record);
    bench_record_done(&record);
    return 0;
}
