using Google.Protobuf.Reflection;
using Grpc.Core;
using Grpc.Reflection.V1Alpha;

namespace Grpc.Reflection;

/// <summary>grpc.reflection.v1alpha: what this server offers.</summary>
public sealed class ReflectionServiceImpl : ServerReflection.ServerReflectionBase
{
    private readonly ServiceDescriptor[] _services;
    private readonly SymbolTable _symbols;

    /// <summary>Describes these services, and itself.</summary>
    public ReflectionServiceImpl(params IEnumerable<ServiceDescriptor> services)
    {
        _services = [.. services, ServerReflection.Descriptor];
        _symbols = new SymbolTable(_services);
    }

    /// <inheritdoc/>
    public override async Task ServerReflectionInfo(
        IAsyncStreamReader<ServerReflectionRequest> requestStream, IServerStreamWriter<ServerReflectionResponse> responseStream, ServerCallContext context)
    {
        while (await requestStream.MoveNext(context.CancellationToken).ConfigureAwait(false))
        {
            ServerReflectionResponse response = Answer(requestStream.Current);
            response.ValidHost = requestStream.Current.Host;
            response.OriginalRequest = requestStream.Current;
            await responseStream.WriteAsync(response).ConfigureAwait(false);
        }
    }

    private ServerReflectionResponse Answer(ServerReflectionRequest request) => request.MessageRequestCase switch
    {
        ServerReflectionRequest.MessageRequestOneofCase.FileByFilename => Files(_symbols.File(request.FileByFilename), request.FileByFilename),
        ServerReflectionRequest.MessageRequestOneofCase.FileContainingSymbol => Files(_symbols.Containing(request.FileContainingSymbol), request.FileContainingSymbol),
        ServerReflectionRequest.MessageRequestOneofCase.ListServices => new ServerReflectionResponse
        {
            ListServicesResponse = new ListServiceResponse { Service = { _services.Select(service => new ServiceResponse { Name = service.FullName }) } },
        },
        ServerReflectionRequest.MessageRequestOneofCase.AllExtensionNumbersOfType => Error(StatusCode.NotFound, "there are no extensions (proto3)"),
        ServerReflectionRequest.MessageRequestOneofCase.FileContainingExtension => Error(StatusCode.NotFound, "there are no extensions (proto3)"),
        _ => Error(StatusCode.InvalidArgument, "the request asks for nothing"),
    };

    private static ServerReflectionResponse Files(FileDescriptor? file, string name) => file is null
        ? Error(StatusCode.NotFound, $"'{name}' is not known here")
        : new ServerReflectionResponse { FileDescriptorResponse = new FileDescriptorResponse { FileDescriptorProto = { SymbolTable.WithImports(file) } } };

    private static ServerReflectionResponse Error(StatusCode code, string message) =>
        new() { ErrorResponse = new ErrorResponse { ErrorCode = (int)code, ErrorMessage = message } };
}
