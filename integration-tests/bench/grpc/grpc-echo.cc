// A gRPC echo server as its documentation would have one write it: the synchronous one with the
// defaults, or the asynchronous one with a completion queue for each thread.
//
//   grpc-echo sync|async THREADS      prints "port N", ends when stdin does
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <echo.grpc.pb.h>
#include <grpcpp/grpcpp.h>
#include <memory>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

using grayling::bench::Echo;
using grayling::bench::Payload;

namespace
{

class SyncEcho final : public Echo::Service
{
    grpc::Status Call(grpc::ServerContext *, const Payload *in, Payload *out) override
    {
        out->set_data(in->data());
        return grpc::Status::OK;
    }
};

// One call of the asynchronous server, from being asked for to being answered.
class Exchange
{
  public:
    Exchange(Echo::AsyncService *service, grpc::ServerCompletionQueue *queue)
        : service_(service), queue_(queue), responder_(&context_)
    {
        service_->RequestCall(&context_, &in_, &responder_, queue_, queue_, this);
    }

    void Advance(bool ok)
    {
        if (!ok || answered_) {
            delete this;
            return;
        }
        new Exchange(service_, queue_);
        Payload out;
        out.set_data(in_.data());
        answered_ = true;
        responder_.Finish(out, grpc::Status::OK, this);
    }

  private:
    Echo::AsyncService *service_;
    grpc::ServerCompletionQueue *queue_;
    grpc::ServerContext context_;
    Payload in_;
    grpc::ServerAsyncResponseWriter<Payload> responder_;
    bool answered_ = false;
};

void WaitForEndOfInput()
{
    char c;
    while (read(STDIN_FILENO, &c, 1) > 0)
        ;
}

void Announce(int port)
{
    printf("port %d\n", port);
    fflush(stdout);
}

int ServeSync(grpc::ServerBuilder &builder, const int &port)
{
    SyncEcho service;
    builder.RegisterService(&service);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (!server)
        return 1;
    Announce(port);
    WaitForEndOfInput();
    server->Shutdown();
    return 0;
}

int ServeAsync(grpc::ServerBuilder &builder, const int &port, unsigned threads)
{
    Echo::AsyncService service;
    builder.RegisterService(&service);
    std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues;
    for (unsigned i = 0; i < threads; i++)
        queues.push_back(builder.AddCompletionQueue());
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (!server)
        return 1;
    std::vector<std::thread> workers;
    for (auto &queue : queues)
        workers.emplace_back([&service, q = queue.get()] {
            for (int i = 0; i < 64; i++) // so many calls may arrive at once without waiting
                new Exchange(&service, q);
            void *tag;
            for (bool ok; q->Next(&tag, &ok);)
                static_cast<Exchange *>(tag)->Advance(ok);
        });
    Announce(port);
    WaitForEndOfInput();
    server->Shutdown();
    for (auto &queue : queues)
        queue->Shutdown();
    for (auto &worker : workers)
        worker.join();
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    std::string mode = argc == 3 ? argv[1] : "";
    int threads = argc == 3 ? atoi(argv[2]) : 0, port = 0;
    if ((mode != "sync" && mode != "async") || threads < 1 || threads > 64) {
        fprintf(stderr, "usage: grpc-echo sync|async THREADS\n");
        return 2;
    }
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    return mode == "sync" ? ServeSync(builder, port)
                          : ServeAsync(builder, port, static_cast<unsigned>(threads));
}
