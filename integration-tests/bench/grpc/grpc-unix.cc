// Round trips of one gRPC caller over a Unix socket, one after the other, to a synchronous echo
// server in a process of its own: what a service would use in place of an isolated module. Prints
// rows as bench-isolated does.
//
//   grpc-unix
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <echo.grpc.pb.h>
#include <grpcpp/grpcpp.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

using grayling::bench::Echo;
using grayling::bench::Payload;

namespace
{

constexpr int kWarmUp = 2000, kCalls = 20000;

class Service final : public Echo::Service
{
    grpc::Status Call(grpc::ServerContext *, const Payload *in, Payload *out) override
    {
        out->set_data(in->data());
        return grpc::Status::OK;
    }
};

uint64_t NowNsec()
{
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1000000000u + static_cast<uint64_t>(t.tv_nsec);
}

[[noreturn]] void Serve(const std::string &address, int ready)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Service service;
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(&service);
    auto server = builder.BuildAndStart();
    if (!server || write(ready, "", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

bool Measure(Echo::Stub *stub, size_t bytes)
{
    std::vector<uint64_t> nsec;
    Payload in, out;
    in.set_data(std::string(bytes, 'x'));
    for (int i = 0; i < kWarmUp + kCalls; i++) {
        grpc::ClientContext context;
        uint64_t begin = NowNsec();
        if (!stub->Call(&context, in, &out).ok() || out.data().size() != bytes)
            return false;
        if (i >= kWarmUp)
            nsec.push_back(NowNsec() - begin);
    }
    std::sort(nsec.begin(), nsec.end());
    auto usec = [&](size_t i) { return static_cast<double>(nsec[i]) / 1e3; };
    printf("| gRPC C++ sync, Unix socket | %zu | %.2f | %.2f | %.2f |\n", bytes, usec(kCalls / 2),
           usec(kCalls * 99 / 100), usec(kCalls * 999 / 1000));
    return true;
}

} // namespace

int main()
{
    char directory[] = "/tmp/grayling-bench-XXXXXX";
    int ready[2];
    char byte;
    if (!mkdtemp(directory) || pipe(ready) < 0)
        return 1;
    std::string path = std::string(directory) + "/echo.sock", address = "unix:" + path;
    pid_t pid = fork(); // before the library has threads
    if (pid == 0)
        Serve(address, ready[1]);
    close(ready[1]);
    bool good = pid > 0 && read(ready[0], &byte, 1) == 1;
    if (good) {
        auto stub = Echo::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
        good = Measure(stub.get(), 64) && Measure(stub.get(), 4096);
    }
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, nullptr, 0);
    }
    unlink(path.c_str());
    rmdir(directory);
    return good ? 0 : 1;
}
